"""The base class and shared types of the settings sections."""

from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, field_validator
from pydantic.fields import FieldInfo

_T = TypeVar("_T")

#: At least a millisecond, the unit of Redis, and at most ten years.
Seconds = Annotated[float, Field(ge=0.001, le=315_360_000)]
#: Larger integers are not exact in Lua and JSON.
_MAX_INTEGER = 2**53


class _AtStart:
    """Marks a setting that takes effect only at the start of a process."""


#: The type of a setting that requires a restart. All other settings can change at run time.
AtStart = Annotated[_T, _AtStart()]


def is_live(field: FieldInfo) -> bool:
    """Return whether a change of the setting takes effect without a restart."""
    return not any(isinstance(mark, _AtStart) for mark in field.metadata)


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*")
    @classmethod
    def _check_range(cls, value: object) -> object:
        """Reject values that only fail where they are used."""
        if isinstance(value, int) and abs(value) > _MAX_INTEGER:
            raise ValueError(f"must be at most {_MAX_INTEGER}.")
        if isinstance(value, str) and not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                raise ValueError("must be valid UTF-8 text.") from None
        return value
