"""Limits the size of a tool's result, because it becomes part of the prompt and of the stream."""

from collections.abc import Sequence
from typing import Any, TypeVar

from pydantic import TypeAdapter
from typing_extensions import TypedDict

_T = TypeVar("_T")

#: About 7,000 tokens.
MAX_RESULT_CHARS = 30_000
_JSON: TypeAdapter[Any] = TypeAdapter(Any)


class LeftOut(TypedDict):
    """The last element of a list that is incomplete."""

    note: str


def bounded(
    items: Sequence[_T], *, left_out: int = 0, note: str | None = None, advice: str = ""
) -> list[_T | LeftOut]:
    """Return the first items that fit into a result, and a note about the others.

    `left_out` is the number of items that are already left out, and `note` describes them.
    """
    result: list[_T | LeftOut] = []
    remaining = MAX_RESULT_CHARS
    for item in items:
        remaining -= len(_JSON.dump_json(item))
        if remaining < 0:
            break
        result.append(item)
    left_out += len(items) - len(result)
    notes = [note] if note else []
    if left_out:
        notes.append(f"{left_out:,} more are left out of this result. {advice}".strip())
    if notes:
        result.append(LeftOut(note=" ".join(notes)))
    return result
