"""The display tools as pydantic-ai tools."""

from collections.abc import Awaitable, Callable, Iterable, Mapping

from pydantic import JsonValue
from pydantic_ai import Tool

from shared.agents.display import tools
from shared.agents.display.card import Card
from shared.agents.display.chart import Chart
from shared.agents.display.code import Code
from shared.agents.display.form import Form
from shared.agents.display.schema import CompactSchema


def display_tools(names: Iterable[str]) -> list[Tool]:
    """Return the tools with these names, without duplicates."""
    return [DISPLAY_TOOLS[name] for name in dict.fromkeys(names)]


async def _generate_form(form: Form) -> dict[str, JsonValue]:
    return form.output()


async def _generate_chart(chart: Chart) -> dict[str, JsonValue]:
    return chart.output()


async def _generate_code(block: Code) -> dict[str, JsonValue]:
    return block.output()


async def _generate_card(card: Card) -> dict[str, JsonValue]:
    return card.output()


def _tool(name: str, function: Callable[..., Awaitable[dict[str, JsonValue]]]) -> Tool:
    return Tool(
        function,
        name=name,
        description=tools.DISPLAY_TOOLS[name].description,
        max_retries=3,
        schema_generator=CompactSchema,
    )


DISPLAY_TOOLS: Mapping[str, Tool] = {
    "generateForm": _tool("generateForm", _generate_form),
    "generateChart": _tool("generateChart", _generate_chart),
    "generateCode": _tool("generateCode", _generate_code),
    "generateCard": _tool("generateCard", _generate_card),
}
