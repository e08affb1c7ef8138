"""The fields in which servers send reasoning, and in which they expect it back.

Text comes in one field of a delta. Some servers add structured fields with signatures or encrypted
reasoning, which the next request must contain unchanged.
"""

from collections.abc import Mapping
from typing import Any, cast

#: Fields with the text of the reasoning. Servers use one of them, or the same text in several.
TEXT_FIELDS = ("reasoning_content", "reasoning", "thinking", "reasoning_text", "thought")

#: The parts of a content list that hold reasoning.
CONTENT_PARTS = "content_parts"

#: Structured fields with reasoning: OpenRouter's, LiteLLM's, and Mistral's.
_STRUCTURED_REASONING = ("reasoning_details", "thinking_blocks", CONTENT_PARTS)

#: Structured fields of an answer that are sent back as received.
CARRIED_FIELDS = (
    *_STRUCTURED_REASONING,
    "provider_specific_fields",
    "extra_content",
    "reasoning_opaque",
    "reasoning_signature",
    "thought_signature",
)

#: The field under which `stream_repair` adds the reasoning that it found in the text.
TAGGED_FIELD = "tagged_reasoning"
#: The field with the name of the tag around it; "" if it has another form.
TAG_FIELD = "reasoning_tag"
#: pydantic-ai's name for the origin of that reasoning. Mamba adds the tag, as in `content:thought`.
TAGGED_ID = "content"

#: Fields of a structured value that hold text, most specific first.
_TEXTS = ("text", "thinking", "summary", "content", "reasoning", "refusal")
#: Fields of streamed items that continue the text of the previous piece.
_CONTINUED = ("text", "thinking", "summary", "content")
_EMPTY = (None, "")
#: Nested values deeper than this are ignored.
_MAX_DEPTH = 8


def tagged_id(tag: str) -> str | None:
    """Return the origin of reasoning in this tag; None if it is not sent back."""
    return f"{TAGGED_ID}:{tag}" if tag else None


def tag_of(origin: str | None, default: str) -> str | None:
    """Return the tag of reasoning with this origin; None if it did not come in one."""
    name, _, tag = (origin or "").partition(":")
    return (tag or default) if name == TAGGED_ID else None


def text_of(value: object, depth: int = _MAX_DEPTH) -> str | None:
    """Return the text in a string, in an object with a text field, or in a list of both."""
    if isinstance(value, str):
        return value
    if not depth:
        return None
    if isinstance(value, list):
        texts = [text_of(item, depth - 1) for item in cast("list[object]", value)]
        return "".join(text for text in texts if text) or None
    if isinstance(value, dict):
        fields = cast("dict[str, object]", value)
        texts = (text_of(fields.get(name), depth - 1) for name in _TEXTS)
        return next((text for text in texts if text), None)
    return None


def reasoning_in(delta: Mapping[str, Any], field: str | None) -> tuple[str | None, str]:
    """Return the field of a delta with reasoning, and the text. `field` takes precedence.

    The field is None if the text comes from a structured field, or if there is no text.
    """
    for name in (*((field,) if field else ()), *TEXT_FIELDS):
        value = delta.get(name)
        if value and isinstance(value, str):
            return name, value
    values = (delta.get(name) for name in (*TEXT_FIELDS, *_STRUCTURED_REASONING))
    return None, next((text for value in values if value and (text := text_of(value))), "")


def carried_in(delta: Mapping[str, Any], field: str | None) -> dict[str, Any]:
    """Return the structured fields of a delta."""
    carried = {name: value for name in CARRIED_FIELDS if (value := delta.get(name))}
    for name in (*((field,) if field else ()), *TEXT_FIELDS):
        value = delta.get(name)
        if value and isinstance(value, dict | list):
            carried[name] = value
    return carried


def merge_carried(old: Mapping[str, Any] | None, new: Mapping[str, Any]) -> dict[str, Any]:
    """Combine the structured fields of two pieces of an answer."""
    merged = dict(old or {})
    for key, value in new.items():
        merged[key] = _merged(key, merged.get(key), value)
    return merged


def _merged(key: str, old: Any, new: Any) -> Any:  # noqa: ANN401  (any JSON)
    match old, new:
        case str(), str() if key in _CONTINUED:
            return old + new
        case dict(), dict():
            return merge_carried(cast("dict[str, Any]", old), cast("dict[str, Any]", new))
        case list(), list():
            items = list(cast("list[Any]", old))
            for item in cast("list[Any]", new):
                if items and _continues(items[-1], item):
                    items[-1] = merge_carried(items[-1], item)
                else:
                    items.append(item)
            return items
        case _:
            return old if new is None else new


def _continues(old: object, new: object) -> bool:
    """Return whether two items of a streamed list are pieces of the same item.

    They are not if they differ in a field other than the text, or if text follows a signature.
    """
    if not isinstance(old, dict) or not isinstance(new, dict):
        return False
    first, second = cast("dict[str, Any]", old), cast("dict[str, Any]", new)
    text = any(second.get(key) for key in _CONTINUED)
    if text and first.get("signature"):
        return False
    return all(
        key in _CONTINUED or value in _EMPTY or first.get(key) in (*_EMPTY, value)
        for key, value in second.items()
    )
