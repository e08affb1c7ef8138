"""JSON Schemas (draft 2020-12) of display tools, for models and front ends."""

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema


class CompactSchema(GenerateJsonSchema):
    """A compact JSON Schema: no titles, and optional properties are omitted instead of null."""

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

    def field_title_should_be_set(self, schema: object) -> bool:  # noqa: ARG002
        return False

    def field_is_required(
        self,
        field: core_schema.ModelField | core_schema.DataclassField | core_schema.TypedDictField,
        total: bool,  # noqa: FBT001  (signature of the base class)
    ) -> bool:
        """Require properties with defaults in output schemas; only null ones may be missing."""
        inner = field["schema"]
        if self.mode == "serialization" and inner["type"] == "default":
            return inner.get("default") is not None
        return super().field_is_required(field, total)


def _without(json_schema: JsonSchemaValue, key: str, value: object) -> JsonSchemaValue:
    if key in json_schema and json_schema[key] == value:
        del json_schema[key]
    return json_schema
