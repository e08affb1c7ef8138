"""Generate `clients/js/src/display_tools.ts` from the display tools' output schemas."""

from collections.abc import Iterator
from typing import Any, cast

from pydantic_core import to_json

from shared.agents.display.tools import DISPLAY_TOOLS

Schema = dict[str, Any]

_HEAD = """\
// Types of the display tools, generated from their schemas (`GET /tools/{name}`) by `make docs`.
"""
_SCALARS = {
    "string": "string",
    "number": "number",
    "integer": "number",
    "boolean": "boolean",
    "null": "null",
}


def page() -> str:
    return "\n".join([_HEAD, *_types(), *_tools()])


def _types() -> Iterator[str]:
    for tool in DISPLAY_TOOLS.values():
        schema = tool.output_schema()
        yield from _interface(tool.arguments.__name__, schema)
        for name, part in schema.get("$defs", {}).items():
            yield from _interface(name, part)


def _tools() -> Iterator[str]:
    """Inputs are partial: they are typed while they stream, before validation."""
    yield "/** For `UIMessage<unknown, UIDataTypes, DisplayTools>`. Render `output`. */"
    yield "export type DisplayTools = {"
    for name, tool in DISPLAY_TOOLS.items():
        kind = tool.arguments.__name__
        yield f"  {name}: {{ input: Partial<{kind}>; output: {kind} }};"
    yield "};\n"


def _interface(name: str, schema: Schema) -> Iterator[str]:
    yield from _comment(schema, "")
    yield f"export interface {name} {{"
    for field, field_schema in schema["properties"].items():
        yield from _comment(field_schema, "  ")
        mark = "" if field in schema.get("required", ()) else "?"
        yield f"  {field}{mark}: {_type(field_schema)};"
    yield "}\n"


def _comment(schema: Schema, indent: str) -> Iterator[str]:
    if text := schema.get("description"):
        yield f"{indent}/** {' '.join(text.split())} */"


def _type(schema: Schema) -> str:
    if "$ref" in schema:
        return schema["$ref"].rpartition("/")[2]
    if "const" in schema:
        return to_json(schema["const"]).decode()
    if "enum" in schema:
        return " | ".join(to_json(value).decode() for value in schema["enum"])
    for union in ("anyOf", "oneOf"):
        if union in schema:
            return " | ".join(_type(member) for member in schema[union])
    return _simple_type(schema)


def _simple_type(schema: Schema) -> str:
    kind: str | list[str] = schema["type"]
    if isinstance(kind, list):
        return " | ".join(_SCALARS[name] for name in kind)
    if kind == "array":
        inner = _type(cast("Schema", schema["items"]))
        return f"({inner})[]" if " | " in inner else f"{inner}[]"
    if kind == "object":
        return f"Record<string, {_type(schema['additionalProperties'])}>"
    return _SCALARS[kind]


if __name__ == "__main__":
    print(page(), end="")
