"""What is wrong with a JSON Schema of a client's, which a model's server would refuse.

Only the usual keywords are looked at. Validators that know all of JSON Schema fetch what `$schema`
and `$ref` name, and it is the client who names them.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Literal, cast

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
    TypeAdapter,
    ValidationError,
)
from pydantic_core import PydanticCustomError
from typing_extensions import TypedDict

from api.http.body_model import CONTAINER_TYPES

_ONE, _LIST = "<one>", "<list>"
_PATH_CHARS = 200
_INDEX = re.compile("0|[1-9][0-9]{0,5}")


def _kind(value: object) -> str:
    return _LIST if isinstance(value, list) else _ONE


def _without_booleans(value: object) -> object:
    """`true` and `false` are schemas too, which say nothing else."""
    return {} if isinstance(value, bool) else value


def _different(names: list[str]) -> list[str]:
    if len(set(names)) < len(names):
        raise PydanticCustomError("repeated", "Must not name one twice")
    return names


_Type = Literal["array", "boolean", "integer", "null", "number", "object", "string"]
_Length = Annotated[int, Field(ge=0)]
_Number = Annotated[float, Field(allow_inf_nan=False)]
_Schema = Annotated["_Keywords", BeforeValidator(_without_booleans)]
_Named = dict[str, _Schema]
_Listed = Annotated[list[_Schema], Field(min_length=1)]
_OneOrSome = Annotated[
    Annotated[_Schema, Tag(_ONE)] | Annotated[list[_Schema], Tag(_LIST)], Discriminator(_kind)
]
_Types = Annotated[
    Annotated[_Type, Tag(_ONE)]
    | Annotated[list[_Type], Field(min_length=1), AfterValidator(_different), Tag(_LIST)],
    Discriminator(_kind),
]

_Keywords = TypedDict(
    "_Keywords",
    {
        "$ref": str,
        "$schema": str,
        "$defs": _Named,
        "definitions": _Named,
        "title": str,
        "description": str,
        "type": _Types,
        "enum": list[Any],
        "format": str,
        "pattern": str,
        "minLength": _Length,
        "maxLength": _Length,
        "minimum": _Number,
        "maximum": _Number,
        "exclusiveMinimum": _Number,
        "exclusiveMaximum": _Number,
        "multipleOf": Annotated[_Number, Field(gt=0)],
        "properties": _Named,
        "patternProperties": _Named,
        "additionalProperties": _Schema,
        "propertyNames": _Schema,
        "required": Annotated[list[str], AfterValidator(_different)],
        "minProperties": _Length,
        "maxProperties": _Length,
        "items": _OneOrSome,  # a list before draft 2020-12
        "prefixItems": _Listed,
        "contains": _Schema,
        "minItems": _Length,
        "maxItems": _Length,
        "uniqueItems": bool,
        "allOf": _Listed,
        "anyOf": _Listed,
        "oneOf": _Listed,
        "not": _Schema,
        "if": _Schema,
        "then": _Schema,
        "else": _Schema,
    },
    total=False,
)
_KEYWORDS = TypeAdapter[Any](_Keywords)


def fault(schema: dict[str, Any]) -> str | None:
    """What is wrong, at which place, and what would be right."""
    try:
        _KEYWORDS.validate_python(schema, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        steps = [str(step) for step in first["loc"] if step not in (_ONE, _LIST)]
        return f"At {'.'.join(steps)[:_PATH_CHARS]}: {first['msg']}"
    lost = next((ref for ref in _refs(schema) if not isinstance(_named(ref, schema), dict)), None)
    if lost is not None:
        return f"$ref: {lost[:_PATH_CHARS]} names no schema within this one, as #/$defs/name does"
    return None


def _refs(schema: dict[str, Any]) -> Iterator[str]:
    waiting: list[Any] = [schema]
    while waiting:
        value = waiting.pop()
        waiting.extend(child for child in _inner(value) if type(child) in CONTAINER_TYPES)
        if (ref := _ref(value)) is not None:
            yield ref


def _ref(value: dict[str, Any] | list[Any]) -> str | None:
    ref: Any = value.get("$ref") if isinstance(value, dict) else None
    return ref if isinstance(ref, str) else None


def _inner(value: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value


def unfolds_beyond(most: int, schema: dict[str, Any]) -> bool:
    """Whether it holds more objects and lists, once each `$ref` is made what it names."""
    waiting: list[tuple[Any, frozenset[str]]] = [(schema, frozenset())]
    while waiting and most > 0:
        most -= 1
        value, within = waiting.pop()
        waiting.extend((child, within) for child in _inner(value) if type(child) in CONTAINER_TYPES)
        if (ref := _ref(value)) is not None and ref not in within:
            named = _named(ref, schema)
            waiting.extend([(named, within | {ref})] if type(named) in CONTAINER_TYPES else ())
    return bool(waiting)


def _named(ref: str, schema: dict[str, Any]) -> object:
    """What a JSON pointer (RFC 6901), or the name of a definition, leads to; None if nowhere."""
    definitions: object = schema.get("$defs")
    name = _unescaped(ref.removeprefix("#/$defs/"))
    if isinstance(definitions, dict) and name in definitions and ref.startswith("#"):
        return cast("dict[str, object]", definitions)[name]
    start, *steps = ref.split("/")
    value: object = schema if start == "#" else None
    for step in map(_unescaped, steps):
        value = _member(value, step)
    return value


def _member(value: object, step: str) -> object:
    if isinstance(value, list):
        held = cast("list[object]", value)
        return held[int(step)] if _INDEX.fullmatch(step) and int(step) < len(held) else None
    return cast("dict[str, object]", value).get(step) if isinstance(value, dict) else None


def _unescaped(step: str) -> str:
    return step.replace("~1", "/").replace("~0", "~")
