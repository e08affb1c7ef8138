"""The runs of a chat at one moment, and the events that lead from one moment to the next."""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from shared.errors import InvalidRequest
from shared.runs.chat_index import ChatIndex
from shared.runs.run import Run
from shared.runs.store import RunStore
from shared.streams.run_state import RunState

#: `<newest run>:<live run>:<waiting runs>:<superseded runs>`, with `-` for none.
_CURSOR = re.compile(r"([\w-]{1,64}):([\w-]{1,64}):(-|[\w,]{1,8000}):(-|[\w,]{1,8000})", re.ASCII)
CURSOR_PATTERN = r"^[A-Za-z0-9_-]{1,64}:[A-Za-z0-9_-]{1,64}(:[A-Za-z0-9_,-]{1,8000}){2}$"


class _FeedModel(BaseModel):
    model_config = ConfigDict(
        frozen=True, alias_generator=to_camel, validate_by_name=True, serialize_by_alias=True
    )


class FeedRun(_FeedModel):
    run_id: str = Field(examples=["8vGQ2kZ1xkqkJwqfJ0yR"])
    message_id: str | None = Field(examples=["msg_8vGQ2kZ1xkqkJwqfJ0yR"])
    state: RunState | Literal["expired"] = Field(
        description="The state of the run; `expired` if it is no longer stored"
    )


class RunStartedEvent(FeedRun):
    """A run is now the live run of the chat: follow it."""

    type: Literal["run-started"] = "run-started"


class RunEndedEvent(FeedRun):
    """A run has ended: read its message, or replay it."""

    type: Literal["run-ended"] = "run-ended"


class QueueChangedEvent(_FeedModel):
    """The list of runs that wait for the chat's live run has changed."""

    type: Literal["queue-changed"] = "queue-changed"
    waiting: list[FeedRun]


ChatEvent = RunStartedEvent | RunEndedEvent | QueueChangedEvent


class ChatCursor(NamedTuple):
    """What a client has been sent: the newest run, the live run, and the waiting runs.

    `superseded` are runs that are neither, and whose end the client has not been sent.
    """

    newest: str | None
    live: str | None
    waiting: tuple[str, ...]
    superseded: tuple[str, ...] = ()

    @property
    def unended(self) -> list[str]:
        return [*([self.live] if self.live else []), *self.waiting, *self.superseded]

    def encode(self) -> str:
        lists = [",".join(names) or "-" for names in (self.waiting, self.superseded)]
        return ":".join([self.newest or "-", self.live or "-", *lists])


def read_chat_cursor(header: str | None) -> ChatCursor | None:
    """Return the cursor in a `Last-Event-ID` header; None if it is missing or empty.

    Raises:
        InvalidRequest: if it is not the `id:` of such an event.
    """
    if header is None or not header.strip():
        return None
    match = _CURSOR.fullmatch(header.strip())
    if match is None:
        raise InvalidRequest(
            "Last-Event-ID: Invalid cursor. Send the `id:` of an event exactly as received.",
            field="Last-Event-ID",
        )
    newest, live, *lists = (None if value == "-" else value for value in match.groups())
    waiting, superseded = (tuple(names.split(",")) if names else () for names in lists)
    return ChatCursor(newest, live, waiting, superseded)


class ChatState(NamedTuple):
    """The live run, the runs that wait for it, and those that may have ended since a cursor."""

    newest: str | None
    live: Run | None
    waiting: Sequence[Run]
    #: By id, in the order of their admission; None for runs that are no longer stored.
    others: dict[str, Run | None]

    @property
    def cursor(self) -> ChatCursor:
        live = self.live.id if self.live else None
        waiting = tuple(run.id for run in self.waiting)
        unended = [run.id for run in self.others.values() if run and not run.state.ended]
        superseded = [run_id for run_id in unended if run_id not in (live, *waiting)]
        return ChatCursor(self.newest, live, waiting, tuple(superseded))

    def events_since(self, known: ChatCursor | None) -> Iterator[ChatEvent]:
        """Yield the events that a client with this cursor has not been sent."""
        for run_id, run in self.others.items():
            if run is None or run.state.ended:
                yield RunEndedEvent.model_validate(_fields(run_id, run))
        cursor = self.cursor
        if self.live is not None and (known is None or known.live != self.live.id):
            yield RunStartedEvent.model_validate(_fields(self.live.id, self.live))
        if known is None or known.waiting != cursor.waiting:
            waiting = [FeedRun.model_validate(_fields(run.id, run)) for run in self.waiting]
            yield QueueChangedEvent(waiting=waiting)


async def read_chat_state(
    runs: RunStore, chats: ChatIndex, owner: str, chat_id: str, known: ChatCursor | None
) -> ChatState:
    """Read the state of a chat, with what a client with this cursor may not have been sent."""
    in_order = await chats.in_order(owner, chat_id)
    admitted = list(reversed(await chats.runs(owner, chat_id)))
    newest = admitted[-1] if admitted else known.newest if known else None
    others = [*_unseen(admitted, known)]
    stored = await runs.get_many([*dict.fromkeys([*in_order, *others])])
    # The cursor comes from the client, so it may name runs of other owners.
    found = {i: run for i, run in stored.items() if (run.owner, run.chat_id) == (owner, chat_id)}
    live = [found[run_id] for run_id in in_order if run_id in found]
    live = [run for run in live if not run.state.ended]
    first = live[0] if live else None
    return ChatState(newest, first, live[1:], {run_id: found.get(run_id) for run_id in others})


def _unseen(admitted: Sequence[str], known: ChatCursor | None) -> Iterable[str]:
    """Yield the runs that the client was sent as live, and those admitted after them, in order.

    Without a cursor, that is the newest run.
    """
    if known is None:
        yield from admitted[-1:]
        return
    sent = known.unended
    yield from sent
    after = admitted.index(known.newest) + 1 if known.newest in admitted else 0
    yield from (run_id for run_id in admitted[after:] if run_id not in sent)


def _fields(run_id: str, run: Run | None) -> dict[str, str | None]:
    if run is None:
        return {"run_id": run_id, "message_id": None, "state": "expired"}
    return {"run_id": run.id, "message_id": run.message_id, "state": run.state.value}
