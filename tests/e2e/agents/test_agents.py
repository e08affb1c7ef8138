"""Custom agents of the agent file and of installed packages, in a running deployment.

The file and the package are the examples of `docs/agents.md`, unchanged.
"""

import os
import re
import tomllib
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
import yaml

from tests.support.fakes.packages import install
from tests.support.processes import ROOT, Api, Valkey, Worker, start_all, stop_all
from tests.support.sse_client import Json, SseClient, SseEvent, check_whole, chunks, text, types
from tests.support.system.running_system import kill_process
from tests.support.upstream.client import Upstream
from tests.support.wait import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

DOCS = (ROOT / "docs/agents.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", DOCS, re.DOTALL)


#: Each tool call appends a line to the file `marks`. The slow tool then waits for `may_finish`.
MARKS = """
import asyncio, os
from pathlib import Path
from pydantic_ai import Agent, RunContext
from mamba.agents import AgentContext, AgentRun, Data, ToolReturn, call_key, register_agent

FOLDER = Path(os.environ["MARKS"])

def mark(name, context):
    with (FOLDER / "marks").open("a") as file:
        file.write(f"{name} {call_key(context)}\\n")

@register_agent("marks", description="Records its tool calls.", display_tools=True)
def marks(context: AgentContext) -> Agent[AgentRun, str]:
    agent = Agent(deps_type=AgentRun)

    @agent.tool
    async def quick(context: RunContext[AgentRun]) -> ToolReturn[str]:
        mark("quick", context)
        return ToolReturn("done", metadata=[Data(type="data-card", data={"title": "quick"})])

    @agent.tool
    async def slow(context: RunContext[AgentRun]) -> ToolReturn[str]:
        mark("slow", context)
        while not (FOLDER / "may_finish").exists():
            await asyncio.sleep(0.01)
        return ToolReturn("done", metadata=[Data(type="data-card", data={"title": "slow"})])

    return agent
"""


@dataclass
class Agency:
    """An API, its worker, and the environment that workers start with."""

    api: Api
    valkey: Valkey
    upstream: Upstream
    file: Path
    folder: Path
    env: dict[str, str]
    worker: Worker

    @property
    def chat(self) -> str:
        return f"{self.api.url}/chat"

    async def replace_worker(self) -> None:
        """Kill the worker and start a new one."""
        await kill_process(self.worker)
        self.worker = Worker(self.valkey.url, self.upstream.base_url, self.env)
        await start_all(self.worker)

    def marks(self) -> list[str]:
        file = self.folder / "marks"
        return file.read_text().splitlines() if file.exists() else []

    async def agents(self) -> dict[str, Json]:
        async with httpx.AsyncClient(timeout=30) as client:
            listed = (await client.get(f"{self.api.url}/agents")).json()["agents"]
        return {agent["name"]: agent for agent in listed}

    async def until_offered(self, name: str) -> Json:
        async def probe() -> Json | None:
            return (await self.agents()).get(name)

        found = await until(probe)
        assert found
        return found


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def agency(
    upstream: Upstream, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[Agency]:
    folder = tmp_path_factory.mktemp("agency")
    site, file = folder / "site", folder / "agents.yaml"
    site.mkdir()
    [package] = [tomllib.loads(block) for block in blocks("toml")]
    entries = package["project"]["entry-points"]["mamba.agents"]
    install(site, entries["weather"], blocks("python")[0])
    install(site, "library_agent", blocks("python")[1])
    install(site, "marks_agent", MARKS)
    install(site, "broken_agent", "raise RuntimeError('oh')")
    [described] = blocks("yaml")
    file.write_text(described)
    valkey = Valkey()
    await start_all(valkey)
    env = {"MAMBA_AGENTS__FILE": str(file)}
    api = Api(valkey.url, env)
    env = {
        **env,
        "PYTHONPATH": f"{site}{os.pathsep}{os.environ['PYTHONPATH']}",
        "MARKS": str(folder),
    }
    worker = Worker(valkey.url, upstream.base_url, env)
    agency = Agency(api, valkey, upstream, file, folder, env, worker)
    try:
        await start_all(api, worker)
        yield agency
    finally:
        await kill_process(agency.worker)
        await stop_all(api, valkey)


async def test_agents_endpoint_lists_file_and_package_agents(agency: Agency) -> None:
    await agency.until_offered("weather")

    listed = await agency.agents()

    assert list(listed) == [
        *("chat", "code_review", "research"),
        *("library", "marks", "poet", "weather"),
    ]
    assert [name for name, agent in listed.items() if agent["default"]] == ["chat"]
    assert listed["weather"] == {
        "name": "weather",
        "description": "Says what to wear.",
        "model": None,
        "tools": ["forecast"],
        "display_tools": False,
        "queue": "main",
        "limits": {"seconds": None, "steps": 8, "tokens": None, "cost": None},
        "default": False,
    }
    [poet] = yaml.safe_load(blocks("yaml")[0])["agents"]
    assert listed["poet"]["queue"] == poet["queue"] == "verse"
    assert listed["poet"]["limits"]["cost"] == 0.5


async def test_file_agent_uses_its_instructions(agency: Agency, sse: SseClient, name: str) -> None:
    await agency.upstream.script(name, [[{"text": ["Rain, ", "rain."]}]])

    events = await sse.answer(agency.chat, name, model=name, agent="poet")

    check_whole(events)
    assert text(events) == "Rain, rain."
    [request] = await agency.upstream.requests(name)
    assert "a poem of four lines" in request["body"]["messages"][0]["content"]
    assert [t["function"]["name"] for t in request["body"]["tools"]] == ["generateCard"]


async def test_package_agent_calls_its_tool_and_cites_sources(
    agency: Agency, sse: SseClient, name: str
) -> None:
    await agency.until_offered("weather")
    call = {"id": "c1", "name": "forecast", "arguments": '{"city": "Bergen"}'}
    await agency.upstream.script(name, [[{"tool": call}], [{"text": ["A coat."]}]])

    events = await sse.answer(agency.chat, name, model=name, agent="weather")

    check_whole(events)
    assert text(events) == "A coat."
    at = types(events).index("tool-output-available")
    output, source = chunks(events)[at : at + 2]
    assert output["output"] == "11 °C, rain"
    assert source == {
        "type": "source-url",
        "sourceId": "forecast-Bergen",
        "url": "https://example.com/Bergen",
    }


async def test_unknown_agent_error_lists_available_agents(agency: Agency, sse: SseClient) -> None:
    await agency.until_offered("weather")

    refused = await sse.post(agency.chat, "chat-1", agent="missing")

    assert refused.status_code == 422
    assert refused.json()["field"] == "agent"
    assert refused.json()["detail"].endswith(
        "Available agents: chat, code_review, research, library, marks, poet, weather."
    )


async def test_agent_added_to_file_is_available_without_restart(
    agency: Agency, sse: SseClient, name: str
) -> None:
    await agency.upstream.script(name, [[{"text": ["Soup."]}]])
    before = agency.file.read_text()
    agency.file.write_text(f"{before}  - {{name: cook, instructions: Cook.}}\n")

    events = await sse.answer(agency.chat, name, model=name, agent="cook")

    check_whole(events)
    assert text(events) == "Soup."


def call(name: str, number: int) -> Json:
    return {"tool": {"id": f"call-{number}", "name": name, "arguments": "{}"}}


async def test_killed_worker_repeats_no_completed_tool_call(
    agency: Agency, sse: SseClient, name: str
) -> None:
    await agency.until_offered("marks")
    responses = [[{"text": ["So. "]}, call("quick", 1)], [call("slow", 2)], [{"text": ["Done."]}]]
    await agency.upstream.script(name, responses)
    may_finish = agency.folder / "may_finish"
    may_finish.touch()
    undisturbed = await sse.answer(agency.chat, f"{name}-1", model=name, agent="marks")
    may_finish.unlink()
    (agency.folder / "marks").unlink()

    async with sse.ask(agency.chat, f"{name}-2", model=name, agent="marks") as stream:
        events = await stream.until("tool-input-available")
        events += await stream.until("tool-input-available")
        await until_marks(agency, 2)
        await agency.replace_worker()
        await until_marks(agency, 3)
        may_finish.touch()
        events += await stream.rest()

    run_id = events[0].run_id
    assert agency.marks() == [
        f"quick {run_id}:call-1:1",
        f"slow {run_id}:call-2:1",
        f"slow {run_id}:call-2:1",
    ]
    check_whole(events)
    assert {event.attempt for event in events} == {1, 2}
    assert message(events) == message(undisturbed)


async def until_marks(agency: Agency, count: int) -> None:
    async def probe() -> bool:
        return len(agency.marks()) == count

    await until(probe)


def message(events: list[SseEvent]) -> list[Json]:
    """The message as a client shows it, independent of its id and times, and of text chunks."""
    parts = [c for c in chunks(events) if not c["type"].endswith("-delta") and c["type"] != "start"]
    parts[-1]["messageMetadata"]["mamba"].pop("finishedAt")
    return [*parts, {"text": text(events)}]


async def test_request_display_tools_reach_only_agents_that_allow_them(
    agency: Agency, sse: SseClient, name: str
) -> None:
    assert (await agency.until_offered("marks"))["display_tools"]
    assert not (await agency.until_offered("weather"))["display_tools"]

    for agent in ("marks", "weather"):
        model = f"{name}-{agent}"
        await agency.upstream.script(model, [[{"text": ["Hi"]}]])
        body = {"model": model, "agent": agent, "tools": ["generateForm"]}
        check_whole(await sse.answer(agency.chat, model, **body))

    offered = [
        [tool["function"]["name"] for tool in request["body"]["tools"]]
        for agent in ("marks", "weather")
        for request in await agency.upstream.requests(f"{name}-{agent}")
    ]
    assert sorted(offered[0]) == ["generateForm", "quick", "slow"]
    assert offered[1] == ["forecast"]


async def test_unknown_display_tool_returns_422(agency: Agency, sse: SseClient, name: str) -> None:
    await agency.until_offered("marks")

    refused = await sse.post(agency.chat, name, agent="marks", tools=["none"])

    assert (refused.status_code, refused.json()["field"]) == (422, "tools[0]")
