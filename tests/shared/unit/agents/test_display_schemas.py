"""The schemas that front ends make their types of say what is sent, no more and no less."""

from typing import Any

import pytest
from jsonschema_rs import Draft202012Validator, meta

from shared.agents.display.tools import DISPLAY_TOOLS, DisplayTool
from shared.agents.tools import DISPLAY_TOOL_NAMES
from worker.tools.display import DISPLAY_TOOLS as MODEL_TOOLS

DRAFT = "https://json-schema.org/draft/2020-12/schema"

tools = pytest.mark.parametrize("tool", DISPLAY_TOOLS.values(), ids=DISPLAY_TOOLS)


def test_every_tool_that_can_be_asked_for_is_described() -> None:
    assert tuple(DISPLAY_TOOLS) == DISPLAY_TOOL_NAMES == tuple(MODEL_TOOLS)


@pytest.mark.parametrize("name", DISPLAY_TOOL_NAMES)
def test_the_input_is_what_the_model_is_told(name: str) -> None:
    told = MODEL_TOOLS[name].tool_def

    assert DISPLAY_TOOLS[name].input_schema() == told.parameters_json_schema
    assert DISPLAY_TOOLS[name].description == told.description


@tools
def test_the_schemas_are_valid_and_hold_the_example(tool: DisplayTool) -> None:
    for schema in (tool.input_schema(), tool.output_schema()):
        meta.validate({"$schema": DRAFT, **schema})
        Draft202012Validator(schema).validate(tool.example.output())


@tools
def test_what_always_is_in_an_output_is_required(tool: DisplayTool) -> None:
    schema, least = tool.output_schema(), _smallest(tool)

    assert set(schema["required"]) == least.keys()


def _smallest(tool: DisplayTool) -> dict[str, Any]:
    required = tool.input_schema()["required"]
    example = tool.example.output()
    given = {name: example[name] for name in required}
    if "categories" in example:
        given["categories"] = example["categories"]
        return {k: v for k, v in tool.arguments(**given).output().items() if k != "categories"}
    return tool.arguments(**given).output()
