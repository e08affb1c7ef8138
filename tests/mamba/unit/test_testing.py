"""`mamba.testing` opens agents in tests of agent packages."""

import re
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from pydantic_ai import Agent
from pydantic_ai.models.test import TestModel

from mamba.agents import AgentContext, AgentRun, register_agent
from mamba.testing import open_agent
from shared.errors import SettingsError

PAGE = Path(__file__).parents[3] / "docs/agents.md"
OPENED: list[str] = []


@asynccontextmanager
async def index() -> AsyncGenerator[str]:
    OPENED.append("open")
    yield "found"
    OPENED.append("closed")


@register_agent("library", description="Finds books.")
async def library(context: AgentContext) -> Agent[AgentRun, str]:
    found = await context.open(index())
    agent = Agent(deps_type=AgentRun)

    @agent.tool_plain
    def search() -> str:
        return found

    return agent


@register_agent("counter", description="Counts.")
def counter(context: AgentContext) -> Agent[AgentRun, int]:  # noqa: ARG001
    return Agent(deps_type=AgentRun, output_type=int)


async def test_agent_runs_with_a_replaced_model() -> None:
    OPENED.clear()

    async with open_agent(library) as agent:
        assert OPENED == ["open"]
        with agent.override(model=TestModel()):
            answer = await agent.run("Hi", deps=AgentRun("run", "chat", "request"))

    assert answer.output == '{"search":"found"}'
    assert OPENED == ["open", "closed"]


async def test_agent_without_text_output_is_refused() -> None:
    with pytest.raises(SettingsError, match="must return text"):
        async with open_agent(counter):
            pass


async def test_documented_test_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    [test] = [block for block in blocks if "mamba.testing" in block]
    module = ModuleType("weather_agent")
    exec(blocks[0], vars(module))
    monkeypatch.setitem(sys.modules, "weather_agent", module)
    names: dict[str, Any] = {}
    exec(test, names)

    await names["test_forecast_of_an_unknown_city"]()
