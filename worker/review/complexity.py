"""Size and complexity of functions, and for Python also radon's maintainability index."""

from collections.abc import Iterator
from textwrap import dedent
from typing import Any, cast

from radon import metrics

from worker.review.control_flow import CONTROL_FLOW
from worker.review.findings import FileMetrics, Finding, FunctionMetrics, Severity
from worker.review.functions import measure_functions
from worker.review.language import PYTHON, language_by_name
from worker.review.source import Fragment, ReviewSource

#: Values above the first limit are a low finding, above the second medium. Complexity is never a
#: high finding, because complex code may be correct.
_LIMITS: dict[str, tuple[int, ...]] = {
    "complexity": (10, 15),
    "length": (60, 100),
    "parameters": (6,),
    "nesting": (4, 5),
}
_MESSAGES = {
    "complexity": "has a cyclomatic complexity of {value}; keep it at {limit} or below",
    "length": "is {value} lines long; keep it at {limit} lines or fewer",
    "parameters": "takes {value} parameters; keep it at {limit} or fewer",
    "nesting": "nests control structures {value} levels deep; keep it at {limit} or fewer",
}
_SEVERITIES: tuple[Severity, ...] = ("low", "medium")


def measure_source(source: ReviewSource) -> FileMetrics:
    """Measure the functions of a source, in source order."""
    found = [f for fragment in source.fragments for f in _functions(source, fragment)]
    maintainability = None
    if source.language == PYTHON.name and source.complete:
        maintainability = _maintainability(source.fragments[0].text)
    return FileMetrics(
        path=source.path,
        language=source.language,
        lines=source.lines,
        functions=tuple(found),
        maintainability=maintainability,
    )


def complexity_findings(measured: FileMetrics) -> Iterator[Finding]:
    """Yield a finding for each metric of a function that exceeds its limit."""
    for function in measured.functions:
        for metric, limits in _LIMITS.items():
            value: int = getattr(function, metric)
            if value > limits[0]:
                over = sum(value > limit for limit in limits)
                message = _MESSAGES[metric].format(value=value, limit=limits[0])
                yield Finding(
                    path=measured.path,
                    line=function.line,
                    end_line=function.end_line,
                    severity=_SEVERITIES[over - 1],
                    category="complexity",
                    rule=f"metrics:{metric}",
                    message=f"{function.name} {message}.",
                )


def _functions(source: ReviewSource, fragment: Fragment) -> Iterator[FunctionMetrics]:
    language = language_by_name(source.language or "")
    if language is None or language.grammar not in CONTROL_FLOW:
        return
    shift = fragment.start - 1
    for function in measure_functions(dedent(fragment.text), language.grammar):
        lines = {"line": function.line + shift, "end_line": function.end_line + shift}
        yield function.model_copy(update=lines)


def _maintainability(text: str) -> float | None:
    try:
        return round(float(cast("Any", metrics).mi_visit(text, multi=True)), 1)
    except (SyntaxError, ValueError, RecursionError):
        return None
