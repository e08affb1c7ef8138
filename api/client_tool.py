"""A tool that the client brings with its request, and the calls of which it makes itself."""

from typing import Annotated, Any, cast

from pydantic import AfterValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError, to_json

from api.body import NESTING, Body, Nested
from shared import tools

#: What one request may bring: tools, and bytes of JSON Schema for each.
MOST = 64
_SCHEMA_BYTES = 16_384
#: Objects and lists of a schema once its `$ref`s are replaced by what they name, as some models'
#: servers want it: a few that name the next one twice are millions.
_REFERRED = 1000


def _object_schema(schema: dict[str, Any]) -> dict[str, Any]:
    if schema.get("type", "object") != "object":
        raise PydanticCustomError("schema", "Must be an object's JSON Schema: `type` is `object`")
    if len(to_json(schema)) > _SCHEMA_BYTES:
        raise PydanticCustomError("too_large", "At most 16,384 bytes of JSON")
    if _refers_to_more(_REFERRED, schema):
        raise PydanticCustomError("too_large", "Too much, once each `$ref` is what it names")
    return schema


def _refers_to_more(most: int, schema: dict[str, Any]) -> bool:
    waiting: list[tuple[Any, frozenset[str]]] = [(schema, frozenset())]
    while waiting and most >= 0:
        value, within = waiting.pop()
        most -= bool(within)
        inner = cast("list[Any]", [*value.values()] if isinstance(value, dict) else value)
        waiting.extend((child, within) for child in inner if type(child) in NESTING)
        ref = cast("dict[str, Any]", value).get("$ref") if isinstance(value, dict) else None
        if isinstance(ref, str) and ref not in within:
            named = _named(ref, schema)
            waiting.extend([(named, within | {ref})] if type(named) in NESTING else ())
    return most < 0


def _named(ref: str, schema: dict[str, Any]) -> object:
    """What the name of a definition, or a JSON pointer (RFC 6901), leads to; None if nowhere."""
    definitions: object = schema.get("$defs")
    name = _unescaped(ref.removeprefix("#/$defs/"))
    if isinstance(definitions, dict) and name in definitions:
        return cast("dict[str, object]", definitions)[name]
    value: object = schema
    for step in map(_unescaped, ref.split("/")[1:]):
        if isinstance(value, list):
            value = {str(index): item for index, item in enumerate(cast("list[object]", value))}
        value = cast("dict[str, object]", value).get(step) if isinstance(value, dict) else None
    return value


def _unescaped(step: str) -> str:
    return step.replace("~1", "/").replace("~0", "~")


_Schema = Annotated[dict[str, Nested], AfterValidator(_object_schema)]


class ClientTool(Body):
    name: Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9_-]{1,64}$")] = Field(
        description="As the model and the message's parts (`tool-NAME`) say it"
    )
    description: str = Field(default="", max_length=4096, description="What the model is told")
    input_schema: _Schema = Field(description="JSON Schema of an object: the arguments")

    def normal(self) -> tools.ClientTool:
        return tools.ClientTool(
            name=self.name, description=self.description, input_schema=self.input_schema
        )
