"""What the models of a request's body are made of."""

from collections.abc import Iterable
from typing import Annotated, Any, Literal, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationInfo,
)
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from shared.chat import data_url
from shared.settings import LimitSettings

#: Objects and lists within each other in a tool's input or output. The job that carries them to
#: the worker adds some, and JSON parsers give up at 200.
_MAX_DEPTH = 100
CONTAINER_TYPES = (dict, list)

Name = Annotated[str, StringConstraints(min_length=1, max_length=256)]


def max_items(limit: Literal["messages", "parts"]) -> BeforeValidator:
    """Refuse a longer list before any of it is read; the setting of this name says how long."""

    def check(value: object, info: ValidationInfo) -> object:
        limits = cast("LimitSettings", info.context) or LimitSettings()
        most: int = getattr(limits, limit)
        if _length(value) > most:
            raise PydanticCustomError("too_large", f"At most {most:,} {limit}.")  # pyright: ignore[reportArgumentType]  (a template without fields)
        return value

    return BeforeValidator(check)


def _length(value: object) -> int:
    return len(cast("list[object]", value)) if isinstance(value, list) else 0


def _shallow(value: object) -> object:
    if _deeper_than(_MAX_DEPTH, value):
        raise PydanticCustomError("too_deep", "Nested too deep.")
    return value


def _deeper_than(depth: int, value: object) -> bool:
    if type(value) not in CONTAINER_TYPES:
        return False
    held = cast("dict[str, Any] | list[Any]", value)
    inner: Iterable[Any] = held.values() if isinstance(held, dict) else held
    # Most children are plain: a call for each of them would cost more than the parsing.
    nested = (child for child in inner if type(child) in CONTAINER_TYPES)
    return not depth or any(_deeper_than(depth - 1, child) for child in nested)


def _readable(url: str) -> str:
    try:
        if url.startswith("data:"):
            data_url.check(url)
    except ValueError:
        raise PydanticCustomError("data_url", "A data: URL that cannot be decoded.") from None
    return url


def _base64(text: str) -> str:
    _readable(f"data:;base64,{text}")
    return text


FileUrl = Annotated[
    str, StringConstraints(pattern=r"^(data:|https?://)"), AfterValidator(_readable)
]
MediaType = Annotated[str, StringConstraints(max_length=256)]
Base64 = Annotated[str, AfterValidator(_base64)]
#: A body of millions of wrong items must not become millions of errors.
FAIL_FAST = Field(fail_fast=True)
Nested = Annotated[Any, AfterValidator(_shallow)]


class RequestModel(BaseModel):
    model_config = ConfigDict(
        alias_generator=to_camel, validate_by_name=False, validate_by_alias=True, extra="ignore"
    )
