"""JSON schemas of models, as components of the API's document."""

from collections.abc import Callable
from typing import Any, cast

Schema = dict[str, Any]

_REF = "#/components/schemas/"
#: For pydantic, so that what it makes refers to components.
TEMPLATE = f"{_REF}{{model}}"


def reference(name: str) -> Schema:
    """A pointer to one of the document's schemas."""
    return {"$ref": f"{_REF}{name}"}


def components(name: str, schema: Schema, named: Callable[[str], str]) -> Schema:
    """The schema under its name, and what it is made of, each under what its class is `named`."""
    definitions: Schema = schema.pop("$defs", {})
    names = {kind: named(kind) for kind in definitions}
    parts = {
        names[kind]: {**_rewritten(made, names), "title": names[kind]}
        for kind, made in definitions.items()
    }
    return {name: _rewritten(schema, names), **parts}


def require_type(kind: Schema, said: Schema | None = None) -> None:
    """Say that `type` is always there: models have it as a default, or are chosen by it."""
    fields: Schema = kind["properties"]
    kind["properties"] = {**fields, "type": {**fields.get("type", {}), **(said or {})}}
    kind["required"] = list(dict.fromkeys(["type", *kind.get("required", ())]))


def _rewritten(schema: object, names: dict[str, str]) -> Any:  # noqa: ANN401  (any JSON)
    """With the new names; and "any of" for "one of": some kinds of parts are open, so more fit."""
    if isinstance(schema, list):
        return [_rewritten(item, names) for item in cast("list[object]", schema)]
    if not isinstance(schema, dict):
        return schema
    fields = cast("Schema", schema)
    made: Schema = {}
    for key, value in fields.items():
        if key == "$ref":
            name = str(value).removeprefix(_REF)
            made.update(reference(names.get(name, name)))
        elif key != "discriminator":
            made["anyOf" if key == "oneOf" else key] = _rewritten(value, names)
    return made
