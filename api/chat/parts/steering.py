"""Separates the steering messages of the AI SDK 7 from the answer that contains them.

They are parts of the answer during which the user sent them.
"""

from collections.abc import Iterator
from itertools import groupby
from typing import NamedTuple, cast

from api.chat.parts.json_values import fields_of, items_of


class MessagePiece(NamedTuple):
    """A message, or a piece of one, with its path in the client's request."""

    message: object
    path: str
    #: The index that the first of the `parts` has for the client.
    first_part: int = 0


def split_messages(value: object) -> list[MessagePiece] | None:
    """Return the messages of a list; None for other values."""
    if not isinstance(value, list):
        return None
    messages = enumerate(cast("list[object]", value))
    return [piece for index, message in messages for piece in _split(message, f"messages[{index}]")]


def _split(message: object, path: str) -> Iterator[MessagePiece]:
    fields = fields_of(message)
    parts = items_of(fields.get("parts"))
    if not any(map(_is_steering, parts)):
        yield MessagePiece(message, path)
        return
    for steering, group in groupby(enumerate(parts), lambda item: _is_steering(item[1])):
        items = [*group]
        if steering:
            for index, part in items:
                sent = {"role": "user", "parts": fields_of(part)["parts"]}
                yield MessagePiece(sent, f"{path}.parts[{index}]")
        else:
            yield MessagePiece({**fields, "parts": [part for _, part in items]}, path, items[0][0])


def _is_steering(part: object) -> bool:
    fields = fields_of(part)
    return fields.get("type") == "steering-message" and "parts" in fields
