"""Merges the deltas that arrive together, before they become objects of the SDK.

Each object costs far more time than its text. A worker that keeps up receives one token per read,
and passes it on at once. A busy worker receives many, and handles them as one delta. Deltas are
merged if they have the same ID, model, choice, tool call, and field. Other fields keep the value of
the last event.
"""

from collections.abc import Hashable, Iterator
from typing import Any, NamedTuple, cast

from pydantic_core import from_json

from worker.models.chat.reasoning import TEXT_FIELDS

_TEXTS = frozenset(("content", *TEXT_FIELDS))
#: The fields of OpenAI's chunks, and OpenRouter's `provider`. None of them but `choices` carries
#: a part of the answer.
_CHUNK_FIELDS = frozenset(
    {"id", "object", "created", "model", "choices", "service_tier", "system_fingerprint"}
    | {"obfuscation", "provider"}
)
_CHOICE_FIELDS = frozenset(("index", "delta"))
_CALL_FIELDS = frozenset(("index", "type", "function"))
_FUNCTION_FIELDS = frozenset(("arguments",))

_Object = dict[str, Any]


class PlainDelta(NamedTuple):
    """An event with a piece of text, and nothing else that matters."""

    #: The event's JSON value.
    chunk: _Object
    #: The object in `chunk` that holds the text, and the name of its field.
    holder: _Object
    field: str
    #: Identifies the text that the delta continues.
    key: Hashable

    @property
    def text(self) -> str:
        return self.holder[self.field]


def plain_delta(event: bytes) -> PlainDelta | None:
    """Return the delta of an event without its blank line, or None for any other event."""
    if not event.startswith(b"data:") or b"\n" in event or b"\r" in event:
        return None
    try:
        value: object = from_json(event[5:])
    except ValueError:  # also for halves of surrogate pairs
        return None
    chunk = _object(value, _CHUNK_FIELDS)
    choice = _object(_only_item(chunk.get("choices")), _CHOICE_FIELDS) if chunk else None
    delta = _object(choice.get("delta")) if choice else None
    if not chunk or not choice or not delta:
        return None
    origin = (chunk.get("id"), chunk.get("model"), choice.get("index"))
    match [name for name, value in delta.items() if value and name != "role"]:
        case [name] if name in _TEXTS and type(delta[name]) is str:
            return PlainDelta(chunk, delta, name, (*origin, name))
        case ["tool_calls"]:
            return _arguments(chunk, delta["tool_calls"], origin)
        case _:
            return None


def merge_plain(deltas: list[PlainDelta]) -> Iterator[PlainDelta]:
    """Yield the deltas, merged where the same text continues."""
    start = 0
    for end in range(1, len(deltas) + 1):
        if end < len(deltas) and deltas[end].key == deltas[start].key:
            continue
        last = deltas[end - 1]
        last.holder[last.field] = "".join(delta.text for delta in deltas[start:end])
        yield last
        start = end


def _arguments(chunk: _Object, calls: object, origin: tuple[object, ...]) -> PlainDelta | None:
    """Return a further piece of a call's arguments, which comes without an id and a name."""
    call = _object(_only_item(calls), _CALL_FIELDS)
    function = _object(call.get("function"), _FUNCTION_FIELDS) if call else None
    if not call or not function or type(function.get("arguments")) is not str:
        return None
    return PlainDelta(chunk, function, "arguments", (*origin, call.get("index"), "arguments"))


def _object(value: object, fields: frozenset[str] | None = None) -> _Object | None:
    """Return a JSON object whose fields, besides empty ones, are all among these."""
    if type(value) is not dict:
        return None
    source = cast("_Object", value)
    if fields and any(field not in fields for field, value in source.items() if value):
        return None
    return source


def _only_item(value: object) -> object:
    items = cast("list[object]", value) if type(value) is list else []
    return items[0] if len(items) == 1 else None
