"""Generate `clients/display-tools.d.ts` from the display tools' output schemas."""

from collections.abc import Iterator
from typing import Any, cast

from pydantic_core import to_json

from shared.agents.display.tools import DISPLAY_TOOLS

Schema = dict[str, Any]

_HEAD = """\
// What the display tools show, made from their schemas (`GET /tools/{name}`): run `make docs`.
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
    """As `UIMessage` takes them; what is streamed in is not checked yet."""
    yield "/** For `UIMessage<unknown, UIDataTypes, DisplayTools>`. Render the output. */"
    yield "export type DisplayTools = {"
    for name, tool in DISPLAY_TOOLS.items():
        kind = tool.arguments.__name__
        yield f"  {name}: {{ input: Partial<{kind}>; output: {kind} }};"
    yield "};\n"


def _interface(name: str, schema: Schema) -> Iterator[str]:
    yield from _comment(schema, "")
    yield f"export interface {name} {{"
    for field, said in schema["properties"].items():
        yield from _comment(said, "  ")
        mark = "" if field in schema.get("required", ()) else "?"
        yield f"  {field}{mark}: {_type(said)};"
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
    for several in ("anyOf", "oneOf"):
        if several in schema:
            return " | ".join(_type(one) for one in schema[several])
    return _plain(schema)


def _plain(schema: Schema) -> str:
    kind: str | list[str] = schema["type"]
    if isinstance(kind, list):
        return " | ".join(_SCALARS[one] for one in kind)
    if kind == "array":
        inner = _type(cast("Schema", schema["items"]))
        return f"({inner})[]" if " | " in inner else f"{inner}[]"
    if kind == "object":
        return f"Record<string, {_type(schema['additionalProperties'])}>"
    return _SCALARS[kind]


if __name__ == "__main__":
    print(page(), end="")
