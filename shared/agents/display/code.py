from typing import Annotated, Self

from pydantic import Field, PositiveInt, StringConstraints, model_validator

from shared.agents.display.arguments import Arguments


class Code(Arguments):
    language: Annotated[str, StringConstraints(min_length=1, strip_whitespace=True, to_lower=True)]
    """Language such as python or typescript; text if none applies."""
    code: str = Field(min_length=1)
    before: str | None = None
    """The code before a change, starting at the same line number; shown as a diff to `code`."""
    title: str | None = None
    filename: str | None = None
    start_line: PositiveInt = 1
    """Line number of the first line."""
    highlighted_lines: list[PositiveInt] | None = None
    """Line numbers to highlight, counted from startLine."""

    @model_validator(mode="after")
    def _highlighted_lines_exist(self) -> Self:
        lines = range(self.start_line, self.start_line + self._line_count())
        outside = [line for line in self.highlighted_lines or [] if line not in lines]
        if outside:
            raise ValueError(
                f"highlightedLines must be within the lines of code, {lines[0]} to {lines[-1]}"
                f" (got {', '.join(map(str, outside))})"
            )
        return self

    @model_validator(mode="after")
    def _something_changed(self) -> Self:
        if self.before == self.code:
            raise ValueError("before is the same as code; omit it if nothing changed")
        return self

    def _line_count(self) -> int:
        return self.code.removesuffix("\n").count("\n") + 1
