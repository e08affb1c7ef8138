"""Finding, building and reloading the agents of a worker."""

import os
import sys
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from pydantic import SecretStr
from pydantic_ai import Agent
from structlog.testing import capture_logs

from mamba.agents import AgentContext, AgentDefinition, register_agent
from shared.agents.tools import DISPLAY_TOOL_NAMES
from shared.errors import SettingsError
from shared.settings import AgentSettings, OpenAISettings, Settings, WorkerSettings
from shared.settings.live_settings import LiveSettings
from tests.support.fakes.packages import OPENED, install
from worker.agents.registry import AgentRegistry
from worker.models.registry import ModelRegistry

WEATHER = """
from contextlib import asynccontextmanager
from pydantic import SecretStr
from pydantic_ai import Agent
from mamba.agents import AgentContext, register_agent
from tests.support.fakes.packages import OPENED

@asynccontextmanager
async def station():
    OPENED.append("open")
    yield "sunny"
    OPENED.append("closed")

@register_agent("weather", description="Reports the weather.", queue="slow")
async def weather(context: AgentContext) -> Agent:
    sky = await context.open(station())
    agent = Agent()

    @agent.tool_plain
    def look() -> str:
        return sky

    return agent
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.setattr("sys.path", [str(site), *sys.path])
    OPENED.clear()
    return site


@pytest.fixture
async def stack() -> AsyncGenerator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


def offered(
    file: Path | None = None, queues: tuple[str, ...] = (), *, demo: bool = True
) -> AgentRegistry:
    settings = Settings(
        agents=AgentSettings(file=file) if file else AgentSettings(),
        openai=OpenAISettings(api_key=SecretStr("sk-test"), demo=demo),
        worker=WorkerSettings(queues=queues),
    )
    live = LiveSettings(settings)
    return AgentRegistry(live, ModelRegistry(live))


BUILT_IN = ["chat", "code_review", "research"]


def names(agents: AgentRegistry) -> list[str]:
    return [card.name for card in agents.cards()]


@pytest.mark.parametrize(("demo", "tools"), [(False, ()), (True, ("send_email",))])
async def test_chat_agent_is_always_available(*, demo: bool, tools: tuple[str, ...]) -> None:
    async with offered(demo=demo) as agents:
        card = agents.cards()[0]

    expected = ("chat", (*DISPLAY_TOOL_NAMES, *tools), "main")
    assert (card.name, card.tools, card.queue) == expected


async def test_package_agent_is_loaded_and_its_resources_closed(site: Path) -> None:
    install(site, "weather_one", WEATHER)

    async with offered() as agents:
        *_, card = agents.cards()
        assert (card.name, card.tools, card.queue) == ("weather", ("look",), "slow")
        assert card.description == "Reports the weather."
        assert OPENED == ["open"]
        assert agents.queues() == ["main", "slow"]
    assert OPENED == ["open", "closed"]


async def test_entry_point_can_name_one_agent(site: Path) -> None:
    install(site, "weather_two", WEATHER, entry="weather_two:weather")

    async with offered() as agents:
        assert names(agents) == [*BUILT_IN, "weather"]


#: The error of each broken package, and a part of its location.
BROKEN = {
    "raise ValueError('secret')": ("ValueError", "{package}.py:1"),
    "x = 1\nimport no_such_module_secret": ("ModuleNotFoundError", "{package}.py:2"),
    "x = 1": ("It contains no agent. Define one with @register_agent.", "sources.py:"),
    "from mamba.agents import register_agent\nregister_agent('No!', description='')": (
        "No!",
        "definition.py:",
    ),
}


@pytest.mark.parametrize(
    ("module", "expected"), BROKEN.items(), ids=[error for error, _ in BROKEN.values()]
)
async def test_broken_package_is_logged_and_skipped(
    site: Path, module: str, expected: tuple[str, str]
) -> None:
    name = f"broken_{abs(hash(module))}"
    install(site, name, module)

    with capture_logs() as logs:
        async with offered() as agents:
            assert names(agents) == BUILT_IN

    [line] = [line for line in logs if line["event"] == "agents.entry_point_broken"]
    assert line["package"] == f"{name} 1.0"
    error, location = expected
    assert error in line["error"]
    assert location.format(package=name) in line["where"]
    assert "secret" not in str(line)


BUILDS = {
    "agents.broken": ("raise ValueError('secret')", "ValueError"),
    "agents.not_offered": ("raise AgentNotOffered('no index')", "no index"),
}


@pytest.mark.parametrize(("event", "case"), BUILDS.items(), ids=BUILDS)
async def test_agent_whose_build_fails_is_not_offered(
    site: Path, event: str, case: tuple[str, str]
) -> None:
    build, reason = case
    module = (
        "from mamba.agents import AgentNotOffered, register_agent\n"
        f"@register_agent('shut', description='')\ndef shut(context):\n    {build}\n"
    )
    package = f"shut_{len(event)}"
    install(site, package, module)

    with capture_logs() as logs:
        async with offered() as agents:
            assert agents.get("shut") is None

    [line] = [line for line in logs if line["event"] == event]
    assert reason in (line.get("error"), line.get("reason"))
    assert event != "agents.broken" or line["where"].endswith(f"{package}.py:4")
    assert "secret" not in str(line)
    assert "entry point" in line["origin"]


async def test_agent_without_text_output_is_not_offered(site: Path) -> None:
    module = (
        "from pydantic_ai import Agent\nfrom mamba.agents import register_agent\n"
        "@register_agent('number', description='')\ndef f(context): return Agent(output_type=int)\n"
    )
    install(site, "number_agent", module)

    with capture_logs() as logs:
        async with offered() as agents:
            assert agents.get("number") is None
    assert "must return text" in str(logs)


async def test_duplicate_agent_name_error_names_both_origins(site: Path) -> None:
    install(site, "weather_three", WEATHER)
    install(site, "weather_four", WEATHER)

    with pytest.raises(SettingsError, match=r"weather_\w+ 1\.0, and .*weather_\w+ 1\.0"):
        await offered().__aenter__()


async def test_agent_file_changes_are_reloaded(tmp_path: Path) -> None:
    file = tmp_path / "agents.yaml"
    file.write_text("agents: [{name: poet, instructions: Rhyme., tools: [generateCard]}]")

    async with offered(file) as agents:
        assert names(agents) == [*BUILT_IN, "poet"]
        assert agents.cards()[-1].tools == ("generateCard",)
        old = agents.get("poet")
        await agents.reload()
        assert agents.get("poet") is old

        file.write_text("agents: [{name: cook, instructions: Cook.}]")
        await agents.reload()
        assert names(agents) == [*BUILT_IN, "cook"]

        file.write_text("agents: [{name: cook}]")
        os.utime(file, (1, 1))
        with capture_logs() as logs:
            await agents.reload()
        assert "agents[0].instructions" in logs[0]["error"]
        assert names(agents) == [*BUILT_IN, "cook"]


async def test_invalid_agent_file_prevents_the_start(tmp_path: Path, site: Path) -> None:
    file = tmp_path / "agents.yaml"
    file.write_text("agents: [{name: p, instructions: x, tools: [generateCard, dig]}]")
    with pytest.raises(SettingsError, match=r"agents\[0\]\.tools\[1\]: There is no tool named"):
        await offered(file).__aenter__()

    install(site, "weather_five", WEATHER)
    file.write_text("agents: [{name: weather, instructions: x}]")
    with pytest.raises(SettingsError, match=r"weather_five.*, and .*agents\.yaml, agents\[0\]"):
        await offered(file).__aenter__()
    assert not OPENED


@pytest.mark.parametrize("tool", ["search_web", "fetch_page"])
async def test_tool_disabled_by_settings_prevents_the_start(tmp_path: Path, tool: str) -> None:
    file = tmp_path / "agents.yaml"
    file.write_text(f"agents: [{{name: p, instructions: x, tools: [{tool}]}}]")

    with pytest.raises(SettingsError, match=rf"tools\[0\]: {tool} requires the setting research"):
        await offered(file).__aenter__()


async def test_agent_file_can_use_tools_of_built_in_agents(tmp_path: Path) -> None:
    file = tmp_path / "agents.yaml"
    tools = ["read_note", "generateCard", "list_files", "read_note"]
    file.write_text(f"agents: [{{name: p, instructions: x, tools: {tools}}}]")

    async with offered(file) as agents:
        *_, card = agents.cards()

    assert card.tools == ("read_note", "generateCard", "list_files")
    assert [tool.name for tool in card.own_tools] == ["read_note", "list_files"]
    assert all(tool.description and tool.output_schema for tool in card.own_tools)


async def test_shared_resource_is_opened_once_and_closed() -> None:
    opened: list[str] = []

    @asynccontextmanager
    async def resource() -> AsyncGenerator[str]:
        opened.append("open")
        yield "index"
        opened.append("closed")

    live = LiveSettings(Settings(openai=OpenAISettings(demo=True)))
    async with AsyncExitStack() as stack:
        context = AgentContext(live, ModelRegistry(live), stack)
        assert [await context.share("notes", resource) for _ in range(2)] == ["index"] * 2
        assert opened == ["open"]
    assert opened == ["open", "closed"]


async def test_cards_contain_only_agents_of_served_queues(tmp_path: Path) -> None:
    file = tmp_path / "agents.yaml"
    file.write_text("agents: [{name: poet, instructions: x, queue: slow}]")

    async with offered(file, ("slow",)) as agents:
        assert names(agents) == ["poet"]
        assert agents.queues() == ["slow"]
    async with offered(file, ("main",)) as agents:
        assert names(agents) == BUILT_IN
        assert agents.get("poet")


@pytest.mark.parametrize("name", ["", "Poet", "1st", "a b", "a:b", "x" * 65])
def test_invalid_agent_or_queue_name_is_rejected(name: str) -> None:
    with pytest.raises(SettingsError, match=r"agent or queue name .* is invalid"):
        register_agent(name, description="")
    with pytest.raises(SettingsError, match=r"agent or queue name .* is invalid"):
        register_agent("fine", description="", queue=name)


def test_register_agent_returns_a_definition() -> None:
    @register_agent("plain", description="Plain.", model="openai/m")
    def plain(_: AgentContext) -> Agent:
        return Agent()

    assert isinstance(plain, AgentDefinition)
    assert (plain.name, plain.model, plain.display_tools) == ("plain", "openai/m", False)
    assert "plain" in plain.origin
