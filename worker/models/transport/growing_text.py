"""Texts that arrive in many pieces, without work that grows with the square of their size.

Adding a piece to a string copies the whole string, and so would parsing the text after each piece.
"""

from worker.models.transport.completion import is_json, parse_json

#: The characters of incomplete JSON that are parsed for one response.
MAX_PARSED = 64 * 2**20


class GrowingText:
    """A text whose pieces are joined when it is read."""

    def __init__(self, *, separator: str = "") -> None:
        self._separator = separator
        self._pieces: list[str] = []
        self.size = 0
        #: The last character that is not white space.
        self.last = ""

    def add(self, piece: str) -> None:
        self._pieces.append(piece)
        self.size += len(piece) + len(self._separator)
        self.last = piece.rstrip()[-1:] or self.last

    def clear(self) -> None:
        self._pieces.clear()
        self.size, self.last = 0, ""

    def __bool__(self) -> bool:
        return bool(self._pieces)

    def __str__(self) -> str:
        if len(self._pieces) > 1:
            self._pieces = [self._separator.join(self._pieces)]
        return self._pieces[0] if self._pieces else ""

    def starts_with(self, start: str) -> bool:
        """Return whether the first piece starts with this."""
        return bool(self._pieces) and self._pieces[0].startswith(start)

    def equals(self, text: str) -> bool:
        return len(text) == self.size and text == str(self)

    def is_start_of(self, text: str) -> bool:
        return len(text) >= self.size and text.startswith(str(self))


class JsonChecker:
    """Checks whether growing texts are complete JSON objects.

    It limits the characters of texts that turn out to be incomplete. Beyond the limit, it parses
    no more, and every text counts as incomplete.
    """

    def __init__(self) -> None:
        self._left = MAX_PARSED

    def is_object(self, text: GrowingText) -> bool:
        if text.last != "}" or text.size > self._left:
            return False
        value = parse_json(str(text))
        if not is_json(value):
            self._left -= text.size
        return isinstance(value, dict)
