"""The schemas of clients' tools: what is let in, models' servers and pydantic-ai understand."""

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

_WRONG: list[Any] = [None, True, 0, -1, 1.5, "object", "strin", "a", [], ["a"], ["a", "a"], {}]
_ANY = st.sampled_from(_WRONG)
_TYPES: st.SearchStrategy[Any] = st.sampled_from(["object", "array", "string", ["string", "null"]])


def _holding(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Schema]:
    named, listed = st.dictionaries(st.sampled_from("ab"), inner), st.lists(inner, min_size=1)
    keywords = {
        **dict.fromkeys(("type", "enum", "required", "minItems", "minimum", "multipleOf"), _ANY),
        **dict.fromkeys(("title", "uniqueItems", "maxLength", "pattern", "$comment"), _ANY),
        **dict.fromkeys(("properties", "$defs", "patternProperties"), named | _ANY),
        **dict.fromkeys(("anyOf", "allOf", "prefixItems"), listed | _ANY),
        **dict.fromkeys(("additionalProperties", "not", "contains", "items"), inner | _ANY),
        "type": _TYPES | _ANY,
    }
    return st.fixed_dictionaries({}, optional=keywords)


SCHEMAS = st.recursive(_ANY, _holding, max_leaves=8).filter(lambda value: isinstance(value, dict))


def is_valid(schema: Schema) -> bool:
    try:
        meta.validate(schema)
    except ValidationError:
        return False
    return True


@given(SCHEMAS)
@example({"required": ["a", "a"]})
@example({"properties": {"a": {"enum": "a"}}})
def test_what_is_faulty_is_what_the_draft_says_is(schema: Schema) -> None:
    assume("'items': [" not in str(schema))  # of earlier drafts
    assume("'$comment'" not in str(schema))

    assert (find_schema_error(schema) is None) == is_valid(schema)


@given(SCHEMAS, st.sampled_from(["#/$defs/a", "#/properties/a", "#", "#/$defs/none", "a"]))
def test_what_is_not_faulty_is_taken_in_the_worker(schema: Schema, ref: str) -> None:
    parameters = {**schema, "type": "object", "items": {"$ref": ref}}
    if find_schema_error(parameters) is not None:
        return

    OpenAIJsonSchemaTransformer(parameters).walk()
    try:
        InlineDefsJsonSchemaTransformer(parameters).walk()
    except UserError as error:
        assert "Recursive JSON pointer" in str(error)  # noqa: PT017  (only some models' servers want it)


@pytest.mark.parametrize(
    ("schema", "path", "fix"),
    [
        ({"type": "strin"}, "type", "'array', 'boolean', 'integer'"),
        ({"properties": {"a": {"items": [{"type": 1}]}}}, "properties.a.items.0.type", "'array'"),
        ({"properties": {"a": "string"}}, "properties.a", "dictionary"),
        ({"required": True}, "required", "list"),
        ({"required": ["a", "a"]}, "required", "duplicates"),
        ({"$defs": {"a": {"minLength": -1}}}, "$defs.a.minLength", "greater than or equal to 0"),
        ({"minimum": 10**400}, "minimum", "number"),
        ({"items": {"anyOf": []}}, "items.anyOf", "at least 1"),
        ({"items": {"$ref": "#/$defs/none"}}, "$ref", "#/$defs/none"),
        ({"items": {"$ref": "https://example.com/schema"}}, "$ref", "in this document"),
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
def test_unusual_schemas_are_let_in(schema: Schema) -> None:
    assert find_schema_error(schema) is None
