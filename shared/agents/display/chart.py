import re
from datetime import UTC, date, datetime, time
from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import (
    Field,
    NonNegativeInt,
    TypeAdapter,
    ValidationError,
    WithJsonSchema,
    model_validator,
)

from shared.agents.display.arguments import Arguments, Number, check_order, check_unique

#: A number, or null for a gap.
_Value = Annotated[Number | None, WithJsonSchema({"type": ["number", "null"]})]

_moment: TypeAdapter[date | datetime] = TypeAdapter(date | datetime)


class Chart(Arguments):
    type: Literal["line", "bar", "area", "pie", "scatter"]
    title: str
    description: str | None = None
    """Text alternative for users who cannot see the chart."""
    categories: list[str] | None = Field(default=None, max_length=2000)
    """Labels of the x axis or of the pie slices; not for scatter."""
    category_type: Literal["label", "time"] = "label"
    """time: ascending ISO dates or date-times, spaced by time; for line, area and bar."""
    series: "list[Series]" = Field(min_length=1, max_length=20)
    """A pie has exactly one."""
    x_axis: "Axis | None" = None
    """Axis of the categories or of x; not for pie."""
    y_axis: "Axis | None" = None
    """Axis of the values, including those of a pie."""
    stacked: bool = False
    """Only for bar and area."""
    horizontal: bool = False
    """Horizontal bars with the categories on the vertical axis; only for bar."""

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
    def _options_fit(self) -> Self:
        if self.stacked and self.type not in ("bar", "area"):
            raise ValueError(f"stacked works only with bar and area; omit it for {self.type}")
        if self.horizontal and self.type != "bar":
            raise ValueError(f"horizontal works only with bar; omit it for {self.type}")
        if self.x_axis is not None and self.type == "pie":
            raise ValueError("a pie chart has no xAxis; set the unit of its values in yAxis")
        if self.category_type == "time":
            self._check_times()
        return self

    def _check_times(self) -> None:
        if self.type in ("pie", "scatter"):
            raise ValueError(f"categoryType time does not work with {self.type}")
        moments = [_as_seconds(category) for category in self.categories or ()]
        if any(later <= earlier for earlier, later in pairwise(moments)):
            raise ValueError("categories of type time must be ascending and unique")

    def _check_points(self) -> None:
        if self.categories is not None:
            raise ValueError("a scatter chart has no categories; omit them")
        for series in self.series:
            if not series.points or series.values is not None:
                raise ValueError(
                    f'series "{series.name}" of a scatter chart needs points instead of values'
                )

    def _check_values(self) -> None:
        if not self.categories:
            raise ValueError(f"a chart of type {self.type} needs categories, one for each value")
        for series in self.series:
            if series.values is None or series.points is not None:
                raise ValueError(
                    f'series "{series.name}" needs values instead of points for type {self.type}'
                )
            if len(series.values) != len(self.categories):
                raise ValueError(
                    f'series "{series.name}" has {len(series.values)} values for'
                    f" {len(self.categories)} categories; give one value for each category"
                )

    def _check_slices(self) -> None:
        if len(self.series) != 1:
            raise ValueError(f"a pie chart needs exactly one series (got {len(self.series)})")
        values = [value or 0 for value in self.series[0].values or []]
        if None in (self.series[0].values or []):
            raise ValueError("a pie chart has no gaps; give a number for each category")
        if min(values) < 0 or sum(values) == 0:
            raise ValueError("values of a pie chart must not be negative or all zero")


def _as_seconds(text: str) -> float:
    """Convert an ISO date or date-time to Unix seconds; UTC if it has no time zone."""
    try:
        moment = _moment.validate_python(text)
    except ValidationError:
        raise ValueError(f"{text!r} is not an ISO date or date-time") from None
    if not isinstance(moment, datetime):
        moment = datetime.combine(moment, time())
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


class Axis(Arguments):
    label: str | None = None
    unit: str | None = None
    """Unit such as kg; for format currency an ISO 4217 code such as EUR."""
    format: Literal["number", "compact", "percent", "currency"] = "number"
    """Number format. compact: 1.2M; percent: 25 means 25 %."""
    decimals: NonNegativeInt | None = Field(default=None, le=6)
    min: Number | None = None
    max: Number | None = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        check_order(self.min, self.max, "min and max")
        if self.format == "currency" and not re.fullmatch("[A-Z]{3}", self.unit or ""):
            raise ValueError("format currency needs an ISO 4217 code as unit, such as EUR")
        return self


class Series(Arguments):
    name: str
    values: list[_Value] | None = None
    """One value per category, null for a gap; not for scatter."""
    points: "list[Point] | None" = None
    """Only for scatter."""
    color: str | None = Field(default=None, pattern=r"^#[0-9A-Fa-f]{6}$")


class Point(Arguments):
    x: Number
    y: Number
    label: str | None = None
