"""Validation of JSON Schemas from clients, to find errors that a model server would reject.

Only common keywords are checked. Complete JSON Schema validators fetch the URLs in `$schema` and
`$ref`, which clients choose.
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
from shared.field_path import format_field_path

_SINGLE, _LIST = "<single>", "<list>"
_PATH_CHARS = 200
_INDEX = re.compile("0|[1-9][0-9]{0,5}")


def _single_or_list(value: object) -> str:
    return _LIST if isinstance(value, list) else _SINGLE


def _without_booleans(value: object) -> object:
    """Replace `true` and `false`, which are schemas without keywords."""
    return {} if isinstance(value, bool) else value


def _unique(names: list[str]) -> list[str]:
    if len(set(names)) < len(names):
        raise PydanticCustomError("repeated", "Must not contain duplicates")
    return names


_Type = Literal["array", "boolean", "integer", "null", "number", "object", "string"]
_Length = Annotated[int, Field(ge=0)]
_Number = Annotated[float, Field(allow_inf_nan=False)]
_Schema = Annotated["_Keywords", BeforeValidator(_without_booleans)]
_SchemaMap = dict[str, _Schema]
_SchemaList = Annotated[list[_Schema], Field(min_length=1)]
_SchemaOrList = Annotated[
    Annotated[_Schema, Tag(_SINGLE)] | Annotated[list[_Schema], Tag(_LIST)],
    Discriminator(_single_or_list),
]
_Types = Annotated[
    Annotated[_Type, Tag(_SINGLE)]
    | Annotated[list[_Type], Field(min_length=1), AfterValidator(_unique), Tag(_LIST)],
    Discriminator(_single_or_list),
]

_Keywords = TypedDict(
    "_Keywords",
    {
        "$ref": str,
        "$schema": str,
        "$defs": _SchemaMap,
        "definitions": _SchemaMap,
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
        "properties": _SchemaMap,
        "patternProperties": _SchemaMap,
        "additionalProperties": _Schema,
        "propertyNames": _Schema,
        "required": Annotated[list[str], AfterValidator(_unique)],
        "minProperties": _Length,
        "maxProperties": _Length,
        "items": _SchemaOrList,  # a list before draft 2020-12
        "prefixItems": _SchemaList,
        "contains": _Schema,
        "minItems": _Length,
        "maxItems": _Length,
        "uniqueItems": bool,
        "allOf": _SchemaList,
        "anyOf": _SchemaList,
        "oneOf": _SchemaList,
        "not": _Schema,
        "if": _Schema,
        "then": _Schema,
        "else": _Schema,
    },
    total=False,
)
_KEYWORDS = TypeAdapter[Any](_Keywords)


def find_schema_error(schema: dict[str, Any]) -> str | None:
    """Return the first error of a schema and its path; None if the schema is valid."""
    try:
        _KEYWORDS.validate_python(schema, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        steps = [step for step in first["loc"] if step not in (_SINGLE, _LIST)]
        return f"At {format_field_path(steps)[:_PATH_CHARS]}: {first['msg']}"
    for ref in _refs(schema):
        if not isinstance(_resolve(ref, schema), dict):
            return (
                f"$ref: {ref[:_PATH_CHARS]} is not in this schema. Use a path such as #/$defs/name."
            )
    return None


def _refs(schema: dict[str, Any]) -> Iterator[str]:
    pending: list[Any] = [schema]
    while pending:
        value = pending.pop()
        pending.extend(child for child in _children(value) if type(child) in CONTAINER_TYPES)
        if (ref := _ref(value)) is not None:
            yield ref


def _ref(value: dict[str, Any] | list[Any]) -> str | None:
    ref: Any = value.get("$ref") if isinstance(value, dict) else None
    return ref if isinstance(ref, str) else None


def _children(value: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value


def expands_beyond(limit: int, schema: dict[str, Any]) -> bool:
    """Return whether it has more than `limit` objects and lists after each `$ref` is resolved.

    A `$ref` within its own target is not resolved again.
    """
    pending: list[tuple[Any, frozenset[str]]] = [(schema, frozenset())]
    while pending and limit > 0:
        limit -= 1
        value, resolved = pending.pop()
        children = (child for child in _children(value) if type(child) in CONTAINER_TYPES)
        pending.extend((child, resolved) for child in children)
        if (ref := _ref(value)) is not None and ref not in resolved:
            target = _resolve(ref, schema)
            if type(target) in CONTAINER_TYPES:
                pending.append((target, resolved | {ref}))
    return bool(pending)


def _resolve(ref: str, schema: dict[str, Any]) -> object:
    """Return the target of a definition's name or JSON pointer (RFC 6901); None if it has none."""
    definitions: object = schema.get("$defs")
    name = _unescape(ref.removeprefix("#/$defs/"))
    if isinstance(definitions, dict) and name in definitions and ref.startswith("#"):
        return cast("dict[str, object]", definitions)[name]
    start, *steps = ref.split("/")
    value: object = schema if start == "#" else None
    for step in map(_unescape, steps):
        value = _member(value, step)
    return value


def _member(value: object, step: str) -> object:
    if isinstance(value, list):
        items = cast("list[object]", value)
        return items[int(step)] if _INDEX.fullmatch(step) and int(step) < len(items) else None
    return cast("dict[str, object]", value).get(step) if isinstance(value, dict) else None


def _unescape(step: str) -> str:
    return step.replace("~1", "/").replace("~0", "~")
