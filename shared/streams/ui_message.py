"""The message that an AI SDK client builds from a run's stream (`UIMessage` in the `ai` package).

`processUIMessageStream` of `ai` defines how events become parts. A message holds only the fields
that `ai` 5, 6 and 7 share.
"""

from collections.abc import Iterable
from contextlib import suppress
from typing import Any, cast

from pydantic_core import from_json

from shared.streams.event_stream import Entry
from shared.streams.events import DONE

_Part = dict[str, Any]

#: Parts that an event adds as it is, and the fields that they keep.
_COMPLETE_PARTS = {
    "source-url": ("sourceId", "url", "title"),
    "source-document": ("sourceId", "mediaType", "title", "filename"),
    "file": ("mediaType", "url"),
}


class UIMessageBuilder:
    """Folds the entries of the runs that wrote one message, oldest run first."""

    def __init__(self, message_id: str) -> None:
        self._id = message_id
        self._parts: list[_Part] = []
        self._metadata: dict[str, Any] = {}
        #: The newest part with each id. Texts, reasoning, and calls have separate ids.
        self._newest: dict[tuple[str, str], _Part] = {}
        #: The deltas of each part that is still open, by its kind and id.
        self._deltas: dict[tuple[str, str], list[str]] = {}

    def add(self, entries: Iterable[Entry]) -> None:
        """Add entries. Events that are not parts of a message are skipped."""
        for entry in entries:
            if entry.data != DONE:
                with suppress(LookupError):  # a part whose start is not in the stream
                    self._add(from_json(entry.data))

    def build(self) -> dict[str, Any]:
        """Return the message as JSON. Parts whose end is missing have the state `streaming`."""
        for key in list(self._deltas):
            self._join(key)
        parts = [*self._parts]
        while parts and parts[-1]["type"] == "step-start":  # clients show steps with their parts
            parts.pop()
        message: dict[str, Any] = {"id": self._id, "role": "assistant", "parts": parts}
        return {**message, "metadata": self._metadata} if self._metadata else message

    def _add(self, event: dict[str, Any]) -> None:
        kind = event["type"].partition("-")[0]
        match event["type"]:
            case "start" | "message-metadata" | "finish":
                self._metadata = _merge(self._metadata, event.get("messageMetadata") or {})
            case "start-step":
                self._parts.append({"type": "step-start"})
            case "text-start" | "reasoning-start":
                self._begin((kind, event["id"]), {"type": kind, "text": "", "state": "streaming"})
            case "text-delta" | "reasoning-delta":
                self._deltas[kind, event["id"]].append(event["delta"])
            case "text-end" | "reasoning-end":
                self._end((kind, event["id"]), event)
            case "source-url" | "source-document" | "file" as name:
                self._parts.append(_pick(event, "type", *_COMPLETE_PARTS[name]))
            case name if name.startswith("data-"):
                self._add_data(event)
            case name if name.startswith("tool-"):
                self._add_tool_event(event)
            case _:
                pass

    def _begin(self, key: tuple[str, str], part: _Part) -> None:
        self._parts.append(part)
        self._newest[key] = part
        self._deltas[key] = []

    def _end(self, key: tuple[str, str], event: dict[str, Any]) -> None:
        self._join(key)
        self._newest[key].update(state="done", **_pick(event, "providerMetadata"))

    def _join(self, key: tuple[str, str]) -> None:
        """Set the text of an open part; of a call, the arguments received so far."""
        part, text = self._newest[key], "".join(self._deltas.pop(key, ()))
        if "text" in part:
            part["text"] = text
        elif text:
            try:
                part["input"] = from_json(text, allow_partial=True)
            except ValueError:
                part["rawInput"] = text

    def _add_data(self, event: dict[str, Any]) -> None:
        """Add an extension part, or replace the one with the same id. Transient ones are left."""
        if event.get("transient"):
            return
        part = _pick(event, "type", "id", "data")
        key = (event["type"], event.get("id", ""))
        if event.get("id") is not None and key in self._newest:
            self._newest[key]["data"] = part["data"]
            return
        self._parts.append(part)
        self._newest[key] = part

    def _add_tool_event(self, event: dict[str, Any]) -> None:
        key = ("tool", event["toolCallId"])
        match event["type"]:
            case "tool-input-start":
                self._begin(key, _new_call(event, "input-streaming"))
            case "tool-input-delta":
                self._deltas[key].append(event["inputTextDelta"])
            case "tool-input-available":
                self._set_input(key, event, "input-available")
            case "tool-input-error":
                self._set_input(key, event, "output-error")
            case "tool-approval-request":
                approval = {"id": event["approvalId"]}
                self._newest[key].update(state="approval-requested", approval=approval)
            case "tool-output-available" | "tool-output-error" | "tool-output-denied":
                self._set_output(self._newest[key], event)
            case _:
                pass

    def _set_input(self, key: tuple[str, str], event: dict[str, Any], state: str) -> None:
        if key not in self._deltas:  # its arguments were not streamed
            self._begin(key, _new_call(event, state))
        del self._deltas[key]
        call = self._newest[key]
        call.update(state=state, **_pick(event, "input", "errorText"))
        if (metadata := event.get("providerMetadata")) is not None:
            call["callProviderMetadata"] = metadata

    def _set_output(self, call: _Part, event: dict[str, Any]) -> None:
        state = event["type"].removeprefix("tool-")
        call.update(state=state, **_pick(event, "output", "errorText"))
        if "approval" in call:
            call["approval"]["approved"] = state != "output-denied"


def _new_call(event: dict[str, Any], state: str) -> _Part:
    return {
        "type": f"tool-{event['toolName']}",
        "toolCallId": event["toolCallId"],
        "state": state,
    }


def _pick(event: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: event[name] for name in names if name in event}


def _merge(base: _Part, update: _Part) -> _Part:
    """Merge objects at every depth, as the AI SDK does."""
    merged = {**base}
    for name, value in update.items():
        old: object = merged.get(name)
        both = isinstance(old, dict) and isinstance(value, dict)
        merged[name] = _merge(cast("_Part", old), cast("_Part", value)) if both else value
    return merged
