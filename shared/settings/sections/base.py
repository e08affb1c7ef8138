"""What each section of the settings is built on."""

from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field
from pydantic.fields import FieldInfo

_T = TypeVar("_T")

Seconds = Annotated[float, Field(gt=0)]


class _AtStart:
    """Marks what a process reads once: a change of it waits for the next start."""


#: A setting that holds from start to end. All others change while the process runs.
AtStart = Annotated[_T, _AtStart()]


def is_live(field: FieldInfo) -> bool:
    """Whether a setting takes effect without a restart."""
    return not any(isinstance(mark, _AtStart) for mark in field.metadata)


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
