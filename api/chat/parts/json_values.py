"""Reads JSON values of unknown types."""

from typing import Any, cast


def fields_of(value: object) -> dict[str, Any]:
    """Return an object; an empty one for other values."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def items_of(value: object) -> list[object]:
    """Return a list; an empty one for other values."""
    return cast("list[object]", value) if isinstance(value, list) else []


def as_text(content: object) -> str:
    """Return a text, or the texts of content parts, one per paragraph."""
    if isinstance(content, str):
        return content
    texts = [
        item if isinstance(item, str) else fields_of(item).get("text") for item in items_of(content)
    ]
    return "\n\n".join(text for text in texts if isinstance(text, str))
