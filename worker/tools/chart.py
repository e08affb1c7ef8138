from typing import Literal, Self

from pydantic import Field, model_validator

from worker.tools.arguments import Arguments, Number, check_unique


class Chart(Arguments):
    type: Literal["line", "bar", "area", "pie", "scatter"]
    title: str
    description: str | None = None
    """What the chart shows, for readers who cannot see it."""
    categories: list[str] | None = None
    """Labels along the x axis, or of a pie's slices; not for scatter."""
    series: "list[Series]" = Field(min_length=1)
    """A pie has exactly one."""
    x_axis: "Axis | None" = None
    y_axis: "Axis | None" = None
    stacked: bool = False
    """Only for bar and area."""

    @model_validator(mode="after")
    def _series_fit(self) -> Self:
        check_unique([series.name for series in self.series], "series name")
        if self.type == "scatter":
            self._check_points()
        else:
            self._check_values()
        if self.type == "pie":
            self._check_slices()
        return self

    @model_validator(mode="after")
    def _can_be_stacked(self) -> Self:
        if self.stacked and self.type not in ("bar", "area"):
            raise ValueError(f"stacked works with bar and area; leave it out for {self.type}")
        return self

    def _check_points(self) -> None:
        if self.categories is not None:
            raise ValueError("a scatter chart has no categories; leave them out")
        for series in self.series:
            if not series.points or series.values is not None:
                raise ValueError(
                    f'series "{series.name}" of a scatter chart needs points, and no values'
                )

    def _check_values(self) -> None:
        if not self.categories:
            raise ValueError(f"a chart of type {self.type} needs categories, one for each value")
        for series in self.series:
            if series.values is None or series.points is not None:
                raise ValueError(
                    f'series "{series.name}" needs values, and no points, for type {self.type}'
                )
            if len(series.values) != len(self.categories):
                raise ValueError(
                    f'series "{series.name}" has {len(series.values)} values for'
                    f" {len(self.categories)} categories; give one value for each category"
                )

    def _check_slices(self) -> None:
        if len(self.series) != 1:
            raise ValueError(f"a pie chart has exactly one series, not {len(self.series)}")
        values = self.series[0].values or []
        if min(values) < 0 or sum(values) == 0:
            raise ValueError("a pie chart's values must not be negative, nor all zero")


class Axis(Arguments):
    label: str | None = None
    unit: str | None = None
    """Like kg, % or EUR."""


class Series(Arguments):
    name: str
    values: list[Number] | None = None
    """One for each category; not for scatter."""
    points: "list[Point] | None" = None
    """Only for scatter."""
    color: str | None = Field(default=None, pattern=r"^#[0-9A-Fa-f]{6}$")


class Point(Arguments):
    x: Number
    y: Number
    label: str | None = None
