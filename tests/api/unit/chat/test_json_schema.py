"""Schemas of client tools that pass validation are accepted by pydantic-ai."""

from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from jsonschema_rs import ValidationError, meta
from pydantic_ai._json_schema import InlineDefsJsonSchemaTransformer
from pydantic_ai.exceptions import UserError
from pydantic_ai.profiles.openai import OpenAIJsonSchemaTransformer

from api.chat.json_schema import find_schema_error

Schema = dict[str, Any]

_INVALID: list[Any] = [None, True, 0, -1, 1.5, "object", "strin", "a", [], ["a"], ["a", "a"], {}]
_INVALID_VALUES = st.sampled_from(_INVALID)
_TYPES: st.SearchStrategy[Any] = st.sampled_from(["object", "array", "string", ["string", "null"]])


def _schema_with(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Schema]:
    dictionaries = st.dictionaries(st.sampled_from("ab"), inner)
    lists = st.lists(inner, min_size=1)
    keywords = {
        **dict.fromkeys(
            ("type", "enum", "required", "minItems", "minimum", "multipleOf"), _INVALID_VALUES
        ),
        **dict.fromkeys(
            ("title", "uniqueItems", "maxLength", "pattern", "$comment"), _INVALID_VALUES
        ),
        **dict.fromkeys(
            ("properties", "$defs", "patternProperties"), dictionaries | _INVALID_VALUES
        ),
        **dict.fromkeys(("anyOf", "allOf", "prefixItems"), lists | _INVALID_VALUES),
        **dict.fromkeys(
            ("additionalProperties", "not", "contains", "items"), inner | _INVALID_VALUES
        ),
        "type": _TYPES | _INVALID_VALUES,
    }
    return st.fixed_dictionaries({}, optional=keywords)


SCHEMAS = st.recursive(_INVALID_VALUES, _schema_with, max_leaves=8).filter(
    lambda value: isinstance(value, dict)
)


def is_valid(schema: Schema) -> bool:
    try:
        meta.validate(schema)
    except ValidationError:
        return False
    return True


@given(SCHEMAS)
@example({"required": ["a", "a"]})
@example({"properties": {"a": {"enum": "a"}}})
def test_find_schema_error_agrees_with_the_draft(schema: Schema) -> None:
    assume("'items': [" not in str(schema))  # a list is valid in earlier drafts only
    assume("'$comment'" not in str(schema))

    assert (find_schema_error(schema) is None) == is_valid(schema)


@given(SCHEMAS, st.sampled_from(["#/$defs/a", "#/properties/a", "#", "#/$defs/none", "a"]))
def test_valid_schema_is_accepted_by_the_schema_transformers(schema: Schema, ref: str) -> None:
    parameters = {**schema, "type": "object", "items": {"$ref": ref}}
    if find_schema_error(parameters) is not None:
        return

    OpenAIJsonSchemaTransformer(parameters).walk()
    try:
        InlineDefsJsonSchemaTransformer(parameters).walk()
    except UserError as error:
        assert "Recursive JSON pointer" in str(error)  # noqa: PT017  (only some providers use this transformer)


@pytest.mark.parametrize(
    ("schema", "path", "fix"),
    [
        ({"type": "strin"}, "type", "'array', 'boolean', 'integer'"),
        ({"properties": {"a": {"items": [{"type": 1}]}}}, "properties.a.items[0].type", "'array'"),
        ({"properties": {"a": "string"}}, "properties.a", "dictionary"),
        ({"required": True}, "required", "list"),
        ({"required": ["a", "a"]}, "required", "duplicates"),
        ({"$defs": {"a": {"minLength": -1}}}, "$defs.a.minLength", "greater than or equal to 0"),
        ({"minimum": 10**400}, "minimum", "number"),
        ({"items": {"anyOf": []}}, "items.anyOf", "at least 1"),
        ({"items": {"$ref": "#/$defs/none"}}, "$ref", "#/$defs/none"),
        ({"items": {"$ref": "https://example.com/schema"}}, "$ref", "not in this schema"),
        ({"$defs": {"a": {}}, "items": {"$ref": "a"}}, "$ref", "#/$defs/name"),
        ({"$defs": {"a": True}, "items": {"$ref": "#/$defs/a"}}, "$ref", "#/$defs/a"),
    ],
)
def test_error_names_the_path_and_the_fix(schema: Schema, path: str, fix: str) -> None:
    text = find_schema_error(schema) or ""

    assert f"{path}: " in text
    assert fix in text


@pytest.mark.parametrize(
    "schema",
    list[Schema](
        [
            {"properties": {"a": True, "b": {"not": False}}},
            {"properties": {"type": {"type": ["string", "null"]}, "$ref": {}}},
            {"items": [{"type": "string"}]},
            {"$defs": {"a/b": {}}, "items": {"$ref": "#/$defs/a~1b"}},
            {"$defs": {"c": {"items": {"$ref": "#/$defs/c"}}}},
            {"properties": {"a": {"items": [{}]}, "b": {"$ref": "#/properties/a/items/0"}}},
            {"x-order": 1, "examples": 5},
        ]
    ),
)
def test_unusual_schema_is_valid(schema: Schema) -> None:
    assert find_schema_error(schema) is None
