"""What display tools take: arguments that a front end can render as they are."""

from collections.abc import Sequence
from datetime import date, time
from typing import Annotated, TypeVar

from pydantic import AnyUrl, BaseModel, ConfigDict, JsonValue, UrlConstraints, WithJsonSchema
from pydantic.alias_generators import to_camel

#: Keeps integers integers on their way to the front end.
Number = Annotated[int | float, WithJsonSchema({"type": "number"})]

#: Parsed as browsers parse, and written out anew: a link from here never runs a script.
WebUrl = Annotated[AnyUrl, UrlConstraints(allowed_schemes=["http", "https"])]
LinkUrl = Annotated[AnyUrl, UrlConstraints(allowed_schemes=["http", "https", "mailto"])]

Ordered = TypeVar("Ordered", float, date, time)


class Arguments(BaseModel):
    model_config = ConfigDict(
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        frozen=True,
        extra="ignore",
        allow_inf_nan=False,
        # Models often write 5 where a text is asked for, and a retry over that would be a waste.
        coerce_numbers_to_str=True,
        use_attribute_docstrings=True,
    )

    def output(self) -> dict[str, JsonValue]:
        """The arguments as a front end gets them: camelCase, defaults filled in, no nulls."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


def check_order(low: Ordered | None, high: Ordered | None, names: str) -> None:
    """Raise ValueError where a range is upside down; an open end is fine."""
    if low is not None and high is not None and low > high:
        raise ValueError(f"{names}: {low} is more than {high}")


def check_range(low: Ordered | None, default: Ordered | None, high: Ordered | None) -> None:
    """Raise ValueError where a field's limits are upside down, or its default is beyond them."""
    check_order(low, high, "min and max")
    check_order(low, default, "min and default")
    check_order(default, high, "default and max")


def check_unique(values: Sequence[str], what: str) -> None:
    """Raise ValueError naming the values that stand more than once."""
    twice = sorted({value for value in values if values.count(value) > 1})
    if twice:
        raise ValueError(f"every {what} must be unique; given more than once: {', '.join(twice)}")
