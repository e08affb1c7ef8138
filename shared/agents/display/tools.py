"""The display tools. They only validate arguments, which a front end renders."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared.agents.display import examples
from shared.agents.display.arguments import Arguments
from shared.agents.display.card import Card
from shared.agents.display.chart import Chart
from shared.agents.display.code import Code
from shared.agents.display.form import Form
from shared.agents.display.schema import CompactSchema

Schema = dict[str, Any]


@dataclass(frozen=True, slots=True)
class DisplayTool:
    description: str
    arguments: type[Arguments]
    example: Arguments

    def input_schema(self) -> Schema:
        """Return the schema of the tool's parameters."""
        return self.arguments.model_json_schema(schema_generator=CompactSchema)

    def output_schema(self) -> Schema:
        """Return the schema of the validated output: camelCase, with defaults, without nulls."""
        return self.arguments.model_json_schema(
            schema_generator=CompactSchema, mode="serialization"
        )


DISPLAY_TOOLS: Mapping[str, DisplayTool] = {
    "generateForm": DisplayTool("Show the user a form to fill in.", Form, examples.FORM),
    "generateChart": DisplayTool("Show the user a chart.", Chart, examples.CHART),
    "generateCode": DisplayTool(
        "Show the user a block of code, highlighted or as a diff.", Code, examples.CODE
    ),
    "generateCard": DisplayTool(
        "Show the user a card with an image, facts and actions.", Card, examples.CARD
    ),
}
