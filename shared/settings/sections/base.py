"""The base class and shared types of the settings sections."""

from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field
from pydantic.fields import FieldInfo

_T = TypeVar("_T")

Seconds = Annotated[float, Field(gt=0)]


class _AtStart:
    """Marks a setting that takes effect only at the start of a process."""


#: The type of a setting that requires a restart. All other settings can change at run time.
AtStart = Annotated[_T, _AtStart()]


def is_live(field: FieldInfo) -> bool:
    """Return whether a change of the setting takes effect without a restart."""
    return not any(isinstance(mark, _AtStart) for mark in field.metadata)


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
