"""A piece of code to review, as it goes to the analysis and as findings refer to it."""

from pydantic import BaseModel, ConfigDict


class Fragment(BaseModel):
    """Consecutive lines of a file; `start` is the number of the first."""

    model_config = ConfigDict(frozen=True)

    start: int
    text: str

    @property
    def end(self) -> int:
        return self.start + self.text.removesuffix("\n").count("\n")


class ReviewSource(BaseModel):
    """A file, or what is known of one. Lines count from 1."""

    model_config = ConfigDict(frozen=True)

    path: str
    #: By `worker/review/language.py`; None where nobody can tell.
    language: str | None
    #: One for a whole file, one a hunk of a diff.
    fragments: tuple[Fragment, ...]
    #: Whether the fragments are all there is.
    complete: bool = True
    #: The lines that a diff added or changed; None: nothing is known of what changed.
    changed: frozenset[int] | None = None

    @property
    def lines(self) -> int:
        return sum(fragment.end - fragment.start + 1 for fragment in self.fragments)

    def overlaps_changes(self, start: int, end: int) -> bool:
        """Whether a finding on these lines is about what changed."""
        return self.changed is None or not self.changed.isdisjoint(range(start, end + 1))
