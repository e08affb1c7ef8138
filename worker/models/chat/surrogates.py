"""Joins surrogate pairs that a stream splits between two pieces of text."""

from shared.surrogates import replace_lone_surrogates


class SurrogateJoiner:
    """Holds a surrogate at the end of a text until the next text."""

    def __init__(self) -> None:
        self._held = ""

    def join(self, text: str) -> str:
        """Return the text so far, without a surrogate at its end whose other half may follow."""
        text, self._held = self._held + text, ""
        if text and "\ud800" <= text[-1] <= "\udbff":
            text, self._held = text[:-1], text[-1]
        return replace_lone_surrogates(text)

    def rest(self) -> str:
        """Return the replacement of a surrogate that is still held at the end of the stream."""
        return replace_lone_surrogates(self._held)
