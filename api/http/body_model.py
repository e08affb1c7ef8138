"""The base model and the constrained types of request bodies."""

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

from shared.settings import LimitSettings

#: Nesting levels of a tool's input or output. The job that contains them adds some levels, and JSON
#: parsers fail at 200.
_MAX_DEPTH = 100
CONTAINER_TYPES = (dict, list)

Name = Annotated[str, StringConstraints(min_length=1, max_length=256)]


def max_items(limit: Literal["messages", "parts"]) -> BeforeValidator:
    """Reject a list longer than the setting `limits.<limit>`, before its items are validated."""

    def check(value: object, info: ValidationInfo) -> object:
        maximum: int = getattr(limits_of(info), limit)
        if _length(value) > maximum:
            raise PydanticCustomError(
                "too_large", "At most {maximum} {what}.", {"maximum": f"{maximum:,}", "what": limit}
            )
        return value

    return BeforeValidator(check)


def limits_of(info: ValidationInfo) -> LimitSettings:
    """Return the limits that were passed as the context of the validation."""
    return cast("LimitSettings | None", info.context) or LimitSettings()


def _length(value: object) -> int:
    return len(cast("list[object]", value)) if isinstance(value, list) else 0


def is_too_deep(value: object) -> bool:
    return _deeper_than(_MAX_DEPTH, value)


def _check_depth(value: object) -> object:
    if is_too_deep(value):
        raise PydanticCustomError(
            "too_deep", "Nested deeper than {maximum} levels.", {"maximum": _MAX_DEPTH}
        )
    return value


def _deeper_than(depth: int, value: object) -> bool:
    if type(value) not in CONTAINER_TYPES:
        return False
    container = cast("dict[str, Any] | list[Any]", value)
    children: Iterable[Any] = container.values() if isinstance(container, dict) else container
    # Most children are scalars: a call for each of them would cost more than the parsing.
    nested = (child for child in children if type(child) in CONTAINER_TYPES)
    return not depth or any(_deeper_than(depth - 1, child) for child in nested)


#: Stop at the first invalid item: a body with millions of them must not produce as many errors.
FAIL_FAST = Field(fail_fast=True)
Nested = Annotated[Any, AfterValidator(_check_depth)]


class RequestModel(BaseModel):
    model_config = ConfigDict(
        alias_generator=to_camel, validate_by_name=False, validate_by_alias=True, extra="ignore"
    )
