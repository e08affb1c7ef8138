"""Duplicated code, found by comparing token sequences with lizard. Names may differ."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from worker.review.control_flow import CONTROL_FLOW
from worker.review.findings import Finding
from worker.review.language import language_by_name
from worker.review.lizard_adapter import Snippet, find_duplicates
from worker.review.source import Fragment, ReviewSource

#: Shorter repetitions are usually coincidence.
_MIN_LINES = 6

_Pieces = dict[str, tuple[ReviewSource, Fragment]]


def duplication_findings(sources: Sequence[ReviewSource]) -> Iterator[Finding]:
    """Yield a finding for each repetition of a passage. It names the previous occurrence."""
    pieces: _Pieces = {}
    for source in sources:
        language = language_by_name(source.language or "")
        if language is not None and language.grammar in CONTROL_FLOW:
            for fragment in source.fragments:
                pieces[f"{len(pieces)}.{language.extensions[0]}"] = (source, fragment)
    for group in find_duplicates({name: fragment.text for name, (_, fragment) in pieces.items()}):
        yield from _findings([_location(snippet, pieces) for snippet in group])


_Location = tuple[ReviewSource, int, int]


def _location(snippet: Snippet, pieces: _Pieces) -> _Location:
    source, fragment = pieces[snippet.file_name]
    shift = fragment.start - 1
    return source, snippet.start_line + shift, snippet.end_line + shift


def _findings(locations: list[_Location]) -> Iterator[Finding]:
    for (first, start, end), (source, line, end_line) in pairwise(locations):
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
            message=f"These lines duplicate {first.path}:{start}-{end}.",
        )
