"""All checks over some sources. Pure computation, which may be slow: see `inspection.py`."""

from collections.abc import Iterable, Iterator, Sequence

from worker.review.complexity import measure, too_complex
from worker.review.duplication import duplicates
from worker.review.findings import ORDER, FileMetrics, Finding, Report
from worker.review.lint import lint
from worker.review.patterns import match_patterns
from worker.review.source import ReviewSource

#: More than anybody reads; the gravest stay.
_MOST = 100


def analyse(sources: Sequence[ReviewSource]) -> Report:
    """Measure each source and check it; of a diff only what concerns the changed lines counts."""
    metrics = [measure(source) for source in sources]
    by_path = {source.path: source for source in sources}
    found = list(_unique(_all_findings(sources, metrics)))
    relevant = [f for f in found if by_path[f.path].concerns(f.line, f.end_line)]
    relevant.sort(key=lambda finding: (ORDER[finding.severity], finding.path, finding.line))
    shown = tuple(relevant[:_MOST])
    return Report(files=tuple(metrics), findings=shown, left_out=len(found) - len(shown))


def _all_findings(
    sources: Sequence[ReviewSource], metrics: Iterable[FileMetrics]
) -> Iterator[Finding]:
    yield from lint(sources)
    for source in sources:
        yield from match_patterns(source)
    for measured in metrics:
        yield from too_complex(measured)
    yield from duplicates(sources)


def _unique(findings: Iterable[Finding]) -> Iterable[Finding]:
    return dict.fromkeys(findings)
