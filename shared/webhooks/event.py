"""The event that a webhook sends: how a run ended, and the finished message."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

from pydantic_core import to_json

from shared.errors import CursorLost
from shared.runs.run import Run
from shared.runs.run_details import usage_of
from shared.streams.answer_metadata import iso_time, usage_fields
from shared.streams.event_stream import Entry, EventStream
from shared.streams.page_reader import read_pages
from shared.streams.ui_message import UIMessageBuilder

#: The largest message that an event contains, as JSON.
MAX_MESSAGE_BYTES = 256 * 1024
#: A stream is larger than its message, because of the JSON of each delta. Larger streams are not
#: read to the end.
_MAX_STREAM_BYTES = 32 * MAX_MESSAGE_BYTES


class _StreamTooLarge(Exception):
    """The streams of a message are larger than those that are read."""


@dataclass(frozen=True, slots=True)
class WebhookEvent:
    """The end of a run, as receivers get it."""

    run_id: str
    type: str
    ended_at: int
    data: Mapping[str, Any]

    def body(self) -> bytes:
        return to_json({"type": self.type, "timestamp": iso_time(self.ended_at), "data": self.data})

    def without_message(self) -> "WebhookEvent":
        if "message" not in self.data:
            return self
        data = {name: value for name, value in self.data.items() if name != "message"}
        return replace(self, data={**data, "messageOmitted": True})


def event_of(run: Run, fields: Mapping[str, str], message: dict[str, Any] | None) -> WebhookEvent:
    """Return the event of an ended run. `fields` are those of its hash."""
    ended_at = run.ended_at or run.admitted_at
    data: dict[str, Any] = {
        "runId": run.id,
        "chatId": run.chat_id,
        "messageId": run.message_id,
        "owner": run.owner,
        "agent": run.agent,
        "model": _model_of(run, message),
        "state": run.state.value,
        "createdAt": iso_time(run.admitted_at),
        "finishedAt": iso_time(ended_at),
        "messageUrl": f"/chat/{quote(run.chat_id)}/messages/{quote(run.message_id, safe='')}",
    }
    if run.error is not None:
        data["code"] = run.error
    if usage := usage_of(fields):
        data["usage"] = usage_fields(usage.input_tokens, usage.output_tokens)
    if message is None or len(to_json(message)) > MAX_MESSAGE_BYTES:
        data["messageOmitted"] = True
    else:
        data["message"] = message
    return WebhookEvent(run.id, f"run.{run.state.value}", ended_at, data)


async def read_message(stream: EventStream, run: Run) -> dict[str, Any] | None:
    """Return the finished message, or None if it is too large or a part of it has expired."""
    message, size = UIMessageBuilder(run.message_id), 0

    def add(entries: list[Entry]) -> None:
        nonlocal size
        size += sum(len(entry.data) for entry in entries)
        if size > _MAX_STREAM_BYTES:
            raise _StreamTooLarge
        message.add(entries)

    try:
        for run_id in (*run.continues, run.id):
            if not await read_pages(stream, run_id, add):
                return None
    except (CursorLost, _StreamTooLarge):
        return None
    return message.build()


def _model_of(run: Run, message: dict[str, Any] | None) -> str:
    """Return the model that answered, which is not the requested one after a fallback."""
    metadata = (message or {}).get("metadata", {}).get("mamba", {})
    return metadata.get("model") or run.model
