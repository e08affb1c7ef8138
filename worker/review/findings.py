"""The result of a review: findings and metrics."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Severity = Literal["high", "medium", "low"]
Category = Literal["bug", "security", "complexity", "duplication", "syntax", "style"]

SEVERITY_ORDER: dict[Severity, int] = {"high": 0, "medium": 1, "low": 2}


class Finding(BaseModel):
    """A possible problem in the code. Lines count from 1; `end_line` is included."""

    model_config = ConfigDict(frozen=True)

    path: str
    line: int = Field(ge=1)
    end_line: int = Field(ge=1)
    severity: Severity
    category: Category
    #: The check that reported it, such as `ruff:B006`.
    rule: str
    message: str


class FunctionMetrics(BaseModel):
    """The size and complexity of one function."""

    model_config = ConfigDict(frozen=True)

    name: str
    line: int
    end_line: int
    #: Cyclomatic complexity (McCabe): the number of independent paths.
    complexity: int
    #: Lines of code without blank lines and comments.
    length: int
    parameters: int
    #: Depth of nested control structures.
    nesting: int


class FileMetrics(BaseModel):
    model_config = ConfigDict(frozen=True)

    path: str
    language: str | None
    lines: int
    functions: tuple[FunctionMetrics, ...] = ()
    #: Number of simpler functions that are not listed.
    functions_left_out: int = 0
    #: Radon's maintainability index, 0 to 100, for complete Python files.
    maintainability: float | None = None


class Report(BaseModel):
    """The metrics and findings of all sources, the most severe findings first."""

    model_config = ConfigDict(frozen=True)

    files: tuple[FileMetrics, ...]
    findings: tuple[Finding, ...]
    #: Number of findings beyond the limit.
    cut: int = 0
    #: Number of findings outside the changed lines.
    unchanged: int = 0
