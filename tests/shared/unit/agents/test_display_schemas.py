"""The schemas of the display tools, from which front ends generate types."""

from typing import Any

import pytest
from jsonschema_rs import Draft202012Validator, meta

from shared.agents.display.tools import DISPLAY_TOOLS, DisplayTool
from shared.agents.tools import DISPLAY_TOOL_NAMES
from worker.tools.display import DISPLAY_TOOLS as MODEL_TOOLS

DRAFT = "https://json-schema.org/draft/2020-12/schema"

tools = pytest.mark.parametrize("tool", DISPLAY_TOOLS.values(), ids=DISPLAY_TOOLS)


def test_every_display_tool_has_a_schema() -> None:
    assert tuple(DISPLAY_TOOLS) == DISPLAY_TOOL_NAMES == tuple(MODEL_TOOLS)


@pytest.mark.parametrize("name", DISPLAY_TOOL_NAMES)
def test_input_schema_matches_the_model_tool_definition(name: str) -> None:
    definition = MODEL_TOOLS[name].tool_def

    assert DISPLAY_TOOLS[name].input_schema() == definition.parameters_json_schema
    assert DISPLAY_TOOLS[name].description == definition.description


@tools
def test_schemas_are_valid_and_accept_the_example(tool: DisplayTool) -> None:
    for schema in (tool.input_schema(), tool.output_schema()):
        meta.validate({"$schema": DRAFT, **schema})
        Draft202012Validator(schema).validate(tool.example.output())


@tools
def test_fields_of_the_smallest_output_are_required(tool: DisplayTool) -> None:
    schema, smallest = tool.output_schema(), _smallest(tool)

    assert set(schema["required"]) == smallest.keys()


def _smallest(tool: DisplayTool) -> dict[str, Any]:
    required = tool.input_schema()["required"]
    example = tool.example.output()
    arguments = {name: example[name] for name in required}
    if "categories" in example:
        arguments["categories"] = example["categories"]
        return {k: v for k, v in tool.arguments(**arguments).output().items() if k != "categories"}
    return tool.arguments(**arguments).output()
