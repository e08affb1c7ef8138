"""Runs all checks. They may be slow, so `inspection.py` calls them in a subprocess."""

from collections.abc import Iterable, Iterator, Sequence

from worker.review.complexity import complexity_findings, measure_source
from worker.review.duplication import duplication_findings
from worker.review.findings import SEVERITY_ORDER, FileMetrics, Finding, Report
from worker.review.lint import lint_findings
from worker.review.patterns import pattern_findings
from worker.review.source import ReviewSource

#: A report keeps the most severe findings.
_MAX_FINDINGS = 100
#: Functions of a file in a report.
_MAX_FUNCTIONS = 100


def analyze(sources: Sequence[ReviewSource]) -> Report:
    """Measure and check all sources. For a diff, keep only findings about changed lines."""
    metrics = [measure_source(source) for source in sources]
    by_path = {source.path: source for source in sources}
    found = list(_unique(_all_findings(sources, metrics)))
    relevant = [f for f in found if by_path[f.path].overlaps_changes(f.line, f.end_line)]
    relevant.sort(
        key=lambda finding: (SEVERITY_ORDER[finding.severity], finding.path, finding.line)
    )
    shown = tuple(relevant[:_MAX_FINDINGS])
    return Report(
        files=tuple(map(_most_complex, metrics)),
        findings=shown,
        cut=len(relevant) - len(shown),
        unchanged=len(found) - len(relevant),
    )


def _most_complex(metrics: FileMetrics) -> FileMetrics:
    """Keep the most complex functions, in source order."""
    functions = metrics.functions
    if len(functions) <= _MAX_FUNCTIONS:
        return metrics
    ranked = sorted(functions, key=lambda f: (-f.complexity, -f.nesting, -f.length))
    kept = frozenset(ranked[:_MAX_FUNCTIONS])
    shown = tuple(function for function in functions if function in kept)
    return metrics.model_copy(
        update={"functions": shown, "functions_left_out": len(functions) - len(shown)}
    )


def _all_findings(
    sources: Sequence[ReviewSource], metrics: Iterable[FileMetrics]
) -> Iterator[Finding]:
    yield from lint_findings(sources)
    for source in sources:
        yield from pattern_findings(source)
    for measured in metrics:
        yield from complexity_findings(measured)
    yield from duplication_findings(sources)


def _unique(findings: Iterable[Finding]) -> Iterable[Finding]:
    return dict.fromkeys(findings)
