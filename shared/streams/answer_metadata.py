"""The metadata of an answer: the key `mamba` of its message's metadata.

`start` carries the fields that are known at the beginning. The end carries the others: in `finish`,
or in a `message-metadata` event before `abort` and `error`.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from shared.provider_metadata import KEY
from shared.streams.events import Abort, Finish, MessageMetadata, Start, StreamEvent

#: Fields of the end. Clients merge the metadata of all runs of a message, so a run that continues
#: another one clears them.
_END_FIELDS = ("finishedAt", "stopped", "events", "usage", "cost", "digest")


@dataclass(frozen=True, slots=True)
class AnswerEnd:
    """The metadata at the end of an answer. Unknown values are None, and are left out."""

    #: The model that answered.
    model: str
    input_tokens: int | None = None
    output_tokens: int | None = None
    #: In US dollars.
    cost: float | None = None
    digest: str | None = None

    def fields(self) -> dict[str, Any]:
        usage = usage_fields(self.input_tokens, self.output_tokens)
        cost = None if self.cost is None else {"amount": self.cost, "currency": "USD"}
        fields = {"model": self.model, "usage": usage, "cost": cost, "digest": self.digest}
        return {name: value for name, value in fields.items() if value is not None}


def usage_fields(input_tokens: int | None, output_tokens: int | None) -> dict[str, int] | None:
    """Return the numbers of tokens that are known, and their total; None if none is known."""
    tokens = {"inputTokens": input_tokens, "outputTokens": output_tokens}
    known = {name: count for name, count in tokens.items() if count is not None}
    return {**known, "totalTokens": sum(known.values())} if known else None


def start_event(
    message_id: str, *, run_id: str, model: str, created_at: int, continues: bool = False
) -> Start:
    """Return the first event of a run, admitted at `created_at` (Unix milliseconds)."""
    cleared: dict[str, Any] = dict.fromkeys(_END_FIELDS) if continues else {}
    fields = {"runId": run_id, "model": model, "createdAt": iso_time(created_at), **cleared}
    return Start(message_id=message_id, message_metadata={KEY: fields})


def end_events(ending: Sequence[StreamEvent], end: AnswerEnd, *, first: int) -> list[StreamEvent]:
    """Return the last events of a run with its metadata. `first` is the offset of the first one."""
    *earlier, terminal = ending
    in_finish = isinstance(terminal, Finish)
    fields = {
        "finishedAt": iso_time(time.time_ns() // 1_000_000),
        "stopped": isinstance(terminal, Abort),
        "events": first + len(earlier) + (0 if in_finish else 1),
        **end.fields(),
    }
    metadata = {KEY: fields}
    if in_finish:
        return [*earlier, terminal.model_copy(update={"message_metadata": metadata})]
    return [*earlier, MessageMetadata(message_metadata=metadata), terminal]


def iso_time(milliseconds: int) -> str:
    """Return Unix milliseconds as ISO 8601 in UTC."""
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return f"{moment.isoformat(timespec='milliseconds').removesuffix('+00:00')}Z"
