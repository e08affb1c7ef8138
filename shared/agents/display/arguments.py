"""Base types of display tool arguments, which a front end can render without changes."""

from collections.abc import Sequence
from datetime import date, time
from typing import Annotated, TypeVar

from pydantic import AnyUrl, BaseModel, ConfigDict, JsonValue, UrlConstraints, WithJsonSchema
from pydantic.alias_generators import to_camel

#: Keeps integers as integers in JSON.
Number = Annotated[int | float, WithJsonSchema({"type": "number"})]

#: Parsed and normalized like in a browser, so that a link cannot run a script.
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
        # Models often send 5 for a string, which does not justify a retry.
        coerce_numbers_to_str=True,
        use_attribute_docstrings=True,
    )

    def output(self) -> dict[str, JsonValue]:
        """Return the arguments for a front end: in camelCase, with defaults, without nulls."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


def check_order(low: Ordered | None, high: Ordered | None, names: str) -> None:
    """Raise ValueError if `low` is greater than `high`; either may be None."""
    if low is not None and high is not None and low > high:
        raise ValueError(f"{names}: {low} is greater than {high}")


def check_range(low: Ordered | None, default: Ordered | None, high: Ordered | None) -> None:
    """Raise ValueError if `low` is greater than `high`, or the default is out of range."""
    check_order(low, high, "min and max")
    check_order(low, default, "min and default")
    check_order(default, high, "default and max")


def check_unique(values: Sequence[str], what: str) -> None:
    """Raise ValueError that names the duplicate values."""
    duplicates = sorted({value for value in values if values.count(value) > 1})
    if duplicates:
        raise ValueError(f"every {what} must be unique; duplicates: {', '.join(duplicates)}")
