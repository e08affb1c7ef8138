"""Converts the JSON schemas of pydantic models to components of the OpenAPI document."""

from collections.abc import Callable
from typing import Any, cast

Schema = dict[str, Any]

_REF = "#/components/schemas/"
#: The `ref_template` for pydantic.
REF_TEMPLATE = f"{_REF}{{model}}"


def reference(name: str) -> Schema:
    """Return a reference to a component schema."""
    return {"$ref": f"{_REF}{name}"}


def components(name: str, schema: Schema, component_name: Callable[[str], str]) -> Schema:
    """Return the schema and its definitions by component name.

    `component_name` maps the class name of a definition to its component name.
    """
    definitions: Schema = schema.pop("$defs", {})
    names = {class_name: component_name(class_name) for class_name in definitions}
    parts = {
        names[class_name]: {**_rewrite(definition, names), "title": names[class_name]}
        for class_name, definition in definitions.items()
    }
    return {name: _rewrite(schema, names), **parts}


def require_type(schema: Schema, type_schema: Schema | None = None) -> None:
    """Mark `type` as required, and extend its schema.

    Pydantic lists it as optional where the model has a default for it, and omits it where only the
    discriminator reads it.
    """
    fields: Schema = schema["properties"]
    schema["properties"] = {**fields, "type": {**fields.get("type", {}), **(type_schema or {})}}
    schema["required"] = list(dict.fromkeys(["type", *schema.get("required", ())]))


def _rewrite(schema: object, names: dict[str, str]) -> Any:  # noqa: ANN401  (any JSON)
    """Rename references, and replace `oneOf` with `anyOf`: a part can match several open types."""
    if isinstance(schema, list):
        return [_rewrite(item, names) for item in cast("list[object]", schema)]
    if not isinstance(schema, dict):
        return schema
    fields = cast("Schema", schema)
    result: Schema = {}
    for key, value in fields.items():
        if key == "$ref":
            name = str(value).removeprefix(_REF)
            result.update(reference(names.get(name, name)))
        elif key != "discriminator":
            result["anyOf" if key == "oneOf" else key] = _rewrite(value, names)
    return result
