"""Reads JSON values of unknown types."""

from typing import Any, cast


def fields_of(value: object) -> dict[str, Any]:
    """Return an object; an empty one for other values."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def items_of(value: object) -> list[object]:
    """Return a list; an empty one for other values."""
    return cast("list[object]", value) if isinstance(value, list) else []


def text_with_notes(content: object) -> object:
    """Join content parts to one text, with a note about each part that is none."""
    if not isinstance(content, list):
        return content
    return "\n\n".join(_part_text(part) for part in items_of(cast("object", content)))


def _part_text(part: object) -> str:
    fields = cast("dict[str, Any]", part) if isinstance(part, dict) else {"text": part}
    if isinstance(text := fields.get("text"), str):
        return text
    return f"[Left out: a part of type “{str(fields.get('type'))[:100]}”.]"


def as_text(content: object) -> str:
    """Return a text, or the texts of content parts, one per paragraph."""
    if isinstance(content, str):
        return content
    texts = [
        item if isinstance(item, str) else fields_of(item).get("text") for item in items_of(content)
    ]
    return "\n\n".join(text for text in texts if isinstance(text, str))
