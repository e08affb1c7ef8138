"""Sources to review, and what the analysis finds in them."""

from worker.review.analysis import analyze
from worker.review.findings import Finding
from worker.review.language import language_by_path
from worker.review.source import Fragment, ReviewSource


def source(path: str, text: str, *, changed: frozenset[int] | None = None) -> ReviewSource:
    language = language_by_path(path)
    return ReviewSource(
        path=path,
        language=language.name if language else None,
        fragments=(Fragment(start=1, text=text),),
        changed=changed,
    )


def findings_in(path: str, text: str) -> tuple[Finding, ...]:
    return analyze([source(path, text)]).findings
