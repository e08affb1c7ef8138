"""Size and complexity of functions, by lizard, and for Python also by radon."""

from collections.abc import Iterator
from typing import Any, cast

from radon import complexity, metrics

from worker.review.findings import FileMetrics, Finding, FunctionMetrics, Severity
from worker.review.language import PYTHON, language_by_name
from worker.review.lizard_adapter import measure_functions
from worker.review.source import Fragment, ReviewSource

#: Values above the first limit are a low finding, above the second medium, above the third high.
_LIMITS: dict[str, tuple[int, int, int]] = {
    "complexity": (10, 15, 25),
    "length": (60, 100, 200),
    "parameters": (6, 9, 14),
    "nesting": (4, 5, 7),
}
_MESSAGES = {
    "complexity": "has a cyclomatic complexity of {value}; keep it at {limit} or below",
    "length": "is {value} lines long; keep it at {limit} lines or fewer",
    "parameters": "takes {value} parameters; keep it at {limit} or fewer",
    "nesting": "nests control structures {value} levels deep; keep it at {limit} or fewer",
}
_SEVERITIES: tuple[Severity, ...] = ("low", "medium", "high")


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
    if language is None or not language.measured:
        return
    shift = fragment.start - 1
    exact = _radon(fragment.text) if language is PYTHON else {}
    for info in measure_functions(f"source.{language.extensions[0]}", fragment.text):
        yield FunctionMetrics(
            name=info.name,
            line=info.start_line + shift,
            end_line=info.end_line + shift,
            complexity=exact.get(info.start_line, info.cyclomatic_complexity),
            length=info.nloc,
            parameters=info.parameter_count,
            nesting=info.max_nested_structures,
        )


def _radon(text: str) -> dict[int, int]:
    """Map each Python function's first line to its complexity. Unparsable code has none."""
    try:
        blocks: list[Any] = cast("Any", complexity).cc_visit(text)
    except (SyntaxError, ValueError, RecursionError):
        return {}
    found = [block for block in blocks if block.letter != "C"]
    for function in found:
        found.extend(function.closures)
    return {function.lineno: function.complexity for function in found}


def _maintainability(text: str) -> float | None:
    try:
        return round(float(cast("Any", metrics).mi_visit(text, multi=True)), 1)
    except (SyntaxError, ValueError, RecursionError):
        return None
