"""What a review finds."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Severity = Literal["high", "medium", "low"]
Category = Literal["bug", "security", "complexity", "duplication", "syntax", "style"]

SEVERITY_ORDER: dict[Severity, int] = {"high": 0, "medium": 1, "low": 2}


class Finding(BaseModel):
    """Something at a place in the code that is worth a look. Lines count from 1, ends included."""

    model_config = ConfigDict(frozen=True)

    path: str
    line: int = Field(ge=1)
    end_line: int = Field(ge=1)
    severity: Severity
    category: Category
    #: Which check found it, such as `ruff:B006`.
    rule: str
    message: str


class FunctionMetrics(BaseModel):
    """The size and shape of one function."""

    model_config = ConfigDict(frozen=True)

    name: str
    line: int
    end_line: int
    #: McCabe's number: the independent ways through it.
    complexity: int
    #: Lines of code, without blank ones and comments.
    length: int
    parameters: int
    #: Control structures within each other.
    nesting: int


class FileMetrics(BaseModel):
    model_config = ConfigDict(frozen=True)

    path: str
    language: str | None
    lines: int
    functions: tuple[FunctionMetrics, ...] = ()
    #: 0 to 100, by radon; for whole Python files.
    maintainability: float | None = None


class Report(BaseModel):
    """All that the checks have found in some sources, the gravest first."""

    model_config = ConfigDict(frozen=True)

    files: tuple[FileMetrics, ...]
    findings: tuple[Finding, ...]
    #: Findings beyond the limit, or outside of what changed.
    left_out: int = 0
