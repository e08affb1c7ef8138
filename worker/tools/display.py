from collections.abc import Awaitable, Callable, Iterable, Mapping

from pydantic import JsonValue
from pydantic_ai import Tool

from worker.tools.card import Card
from worker.tools.chart import Chart
from worker.tools.code import Code
from worker.tools.form import Form
from worker.tools.schema import CompactSchema


def display_tools(names: Iterable[str]) -> list[Tool]:
    """The tools of these names, each once."""
    return [DISPLAY_TOOLS[name] for name in dict.fromkeys(names)]


async def _generate_form(form: Form) -> dict[str, JsonValue]:
    """Show the user a form to fill in."""
    return form.wire()


async def _generate_chart(chart: Chart) -> dict[str, JsonValue]:
    """Show the user a chart."""
    return chart.wire()


async def _generate_code(block: Code) -> dict[str, JsonValue]:
    """Show the user a block of code, highlighted or as a diff."""
    return block.wire()


async def _generate_card(card: Card) -> dict[str, JsonValue]:
    """Show the user a card with an image, facts and actions."""
    return card.wire()


def _tool(name: str, function: Callable[..., Awaitable[dict[str, JsonValue]]]) -> Tool:
    return Tool(function, name=name, max_retries=3, schema_generator=CompactSchema)


DISPLAY_TOOLS: Mapping[str, Tool] = {
    "generateForm": _tool("generateForm", _generate_form),
    "generateChart": _tool("generateChart", _generate_chart),
    "generateCode": _tool("generateCode", _generate_code),
    "generateCard": _tool("generateCard", _generate_card),
}
