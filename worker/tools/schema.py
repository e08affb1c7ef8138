from pydantic.json_schema import JsonSchemaValue
from pydantic_ai.tools import GenerateToolJsonSchema
from pydantic_core import core_schema


class CompactSchema(GenerateToolJsonSchema):
    """A JSON Schema of few tokens: no titles, and what is optional is left out, never null."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        return _without(super().default_schema(schema), "default", None)

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        json_schema = super().model_schema(schema)
        return _without(json_schema, "title", schema["cls"].__name__)

    def tagged_union_schema(self, schema: core_schema.TaggedUnionSchema) -> JsonSchemaValue:
        json_schema = super().tagged_union_schema(schema)
        json_schema.pop("discriminator", None)
        return json_schema


def _without(json_schema: JsonSchemaValue, key: str, value: object) -> JsonSchemaValue:
    if key in json_schema and json_schema[key] == value:
        del json_schema[key]
    return json_schema
