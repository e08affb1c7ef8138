"""The code to review."""

from pydantic import BaseModel, ConfigDict


class Fragment(BaseModel):
    """Consecutive lines of a file. `start` is the number of the first line."""

    model_config = ConfigDict(frozen=True)

    start: int
    text: str

    @property
    def end(self) -> int:
        return self.start + self.text.removesuffix("\n").count("\n")


class ReviewSource(BaseModel):
    """A file, or the known parts of a file. Lines count from 1."""

    model_config = ConfigDict(frozen=True)

    path: str
    #: A name from `worker/review/language.py`, or None if unknown.
    language: str | None
    #: One for a complete file, or one per hunk of a diff.
    fragments: tuple[Fragment, ...]
    #: Whether the fragments are the complete file.
    complete: bool = True
    #: The lines that a diff added or changed; None without a diff.
    changed: frozenset[int] | None = None

    @property
    def chars(self) -> int:
        return sum(len(fragment.text) for fragment in self.fragments)

    @property
    def lines(self) -> int:
        return sum(fragment.end - fragment.start + 1 for fragment in self.fragments)

    def overlaps_changes(self, start: int, end: int) -> bool:
        """Return whether these lines contain a changed line. Without a diff, every line counts."""
        return self.changed is None or not self.changed.isdisjoint(range(start, end + 1))
