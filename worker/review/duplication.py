"""Code that stands twice, by lizard's comparison of token sequences; names may differ."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from worker.review.findings import Finding
from worker.review.language import language_by_name
from worker.review.lizard_adapter import Snippet, find_duplicates
from worker.review.source import Fragment, ReviewSource

#: Shorter repetitions are how code looks.
_MIN_LINES = 6

_Pieces = dict[str, tuple[ReviewSource, Fragment]]


def duplication_findings(sources: Sequence[ReviewSource]) -> Iterator[Finding]:
    """A finding for each later place of a repeated passage, which names the earlier one."""
    pieces: _Pieces = {}
    for source in sources:
        language = language_by_name(source.language or "")
        if language is not None and language.measured:
            for fragment in source.fragments:
                pieces[f"{len(pieces)}.{language.extensions[0]}"] = (source, fragment)
    for group in find_duplicates({name: fragment.text for name, (_, fragment) in pieces.items()}):
        yield from _findings([_place(snippet, pieces) for snippet in group])


_Place = tuple[ReviewSource, int, int]


def _place(snippet: Snippet, pieces: _Pieces) -> _Place:
    source, fragment = pieces[snippet.file_name]
    shift = fragment.start - 1
    return source, snippet.start_line + shift, snippet.end_line + shift


def _findings(places: list[_Place]) -> Iterator[Finding]:
    for (first, start, end), (source, line, end_line) in pairwise(places):
        overlapping = first.path == source.path and line <= end
        if overlapping or end_line - line + 1 < _MIN_LINES:
            continue
        yield Finding(
            path=source.path,
            line=line,
            end_line=end_line,
            severity="medium" if end_line - line >= 3 * _MIN_LINES else "low",
            category="duplication",
            rule="duplication",
            message=f"These lines repeat {first.path}:{start}-{end}.",
        )
