"""A tool that the client brings with its request, and the calls of which it makes itself."""

from typing import Annotated, Any

from pydantic import AfterValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError, to_json

from api.chat.json_schema import fault, unfolds_beyond
from api.http.body_model import Nested, RequestModel
from shared.agents import tools

#: What one request may bring: tools, and bytes of JSON Schema for each.
MOST = 64
_SCHEMA_BYTES = 16_384
#: Objects and lists of a schema once its `$ref`s are replaced by what they name, as some models'
#: servers want it: a few that name the next one twice are millions.
_UNFOLDED = 1000


def _object_schema(schema: dict[str, Any]) -> dict[str, Any]:
    if schema.get("type", "object") != "object":
        raise PydanticCustomError("schema", "Must be an object's JSON Schema: `type` is `object`")
    if len(to_json(schema)) > _SCHEMA_BYTES:
        raise PydanticCustomError("too_large", "At most 16,384 bytes of JSON")
    if unfolds_beyond(_UNFOLDED, schema):
        raise PydanticCustomError(
            "too_large", "At most 1,000 objects and lists, once each `$ref` is what it names"
        )
    if (wrong := fault(schema)) is not None:
        raise PydanticCustomError("schema", wrong)  # pyright: ignore[reportArgumentType]  (a template without fields)
    return schema


_Schema = Annotated[dict[str, Nested], AfterValidator(_object_schema)]


class ClientTool(RequestModel):
    name: Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9_-]{1,64}$")] = Field(
        description="As the model and the message's parts (`tool-NAME`) say it"
    )
    description: str = Field(default="", max_length=4096, description="What the model is told")
    input_schema: _Schema = Field(description="JSON Schema of an object: the arguments")

    def normal(self) -> tools.ClientToolDefinition:
        return tools.ClientToolDefinition(
            name=self.name, description=self.description, input_schema=self.input_schema
        )
