"""A piece of an answer's text."""

from typing import NamedTuple


class TextPiece(NamedTuple):
    text: str
    #: The name of the tag around the reasoning, "" if it has another form; None for ordinary text.
    tag: str | None = None


def partial_length(text: str, *tokens: str) -> int:
    """Return the number of characters at the end of a text that may start one of the tokens."""
    longest = min(len(text), max(map(len, tokens)) - 1)
    ends = (n for n in range(longest, 0, -1) if any(t.startswith(text[-n:]) for t in tokens))
    return next(ends, 0)
