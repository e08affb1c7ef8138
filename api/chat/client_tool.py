"""A tool that the client defines in its request and executes itself."""

from typing import Annotated, Any

from pydantic import AfterValidator, AliasChoices, BeforeValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError, to_json

from api.chat.json_schema import expands_beyond, find_schema_error
from api.http.body_model import Nested, RequestModel
from shared.agents import tools

MAX_CLIENT_TOOLS = 64
TOOL_NAME = r"^[a-zA-Z0-9_-]{1,64}$"
_SCHEMA_BYTES = 16_384
#: Objects and lists in a schema after each `$ref` is replaced by its target, as some model servers
#: do. A short chain of definitions that each refer to the next one twice expands to millions.
_MAX_EXPANDED_NODES = 1000


def _object_schema(schema: dict[str, Any]) -> dict[str, Any]:
    if schema.get("type", "object") != "object":
        raise PydanticCustomError("schema", "Must describe an object: set `type` to `object`")
    if len(to_json(schema)) > _SCHEMA_BYTES:
        raise PydanticCustomError(
            "too_large",
            "Must not be larger than {maximum} bytes",
            {"maximum": f"{_SCHEMA_BYTES:,}"},
        )
    if expands_beyond(_MAX_EXPANDED_NODES, schema):
        raise PydanticCustomError(
            "too_large",
            "Must not have more than {maximum} objects and lists after `$ref`s are resolved",
            {"maximum": f"{_MAX_EXPANDED_NODES:,}"},
        )
    if (error := find_schema_error(schema)) is not None:
        raise PydanticCustomError("schema", "{error}", {"error": error})
    return schema


_Schema = Annotated[dict[str, Nested], AfterValidator(_object_schema)]


class ClientToolBody(RequestModel):
    """A client tool without its name."""

    description: Annotated[str, BeforeValidator(lambda text: "" if text is None else text)] = Field(
        default="", max_length=4096, description="Description for the model"
    )
    input_schema: _Schema = Field(
        validation_alias=AliasChoices("inputSchema", "parameters"),
        description="JSON Schema of the arguments object",
    )

    def named(self, name: str) -> tools.ClientToolDefinition:
        return tools.ClientToolDefinition(
            name=name, description=self.description, input_schema=self.input_schema
        )


class ClientTool(ClientToolBody):
    name: Annotated[str, StringConstraints(pattern=TOOL_NAME)] = Field(
        description="Name for the model and for the message's parts (`tool-NAME`)"
    )

    def normalized(self) -> tools.ClientToolDefinition:
        return self.named(self.name)
