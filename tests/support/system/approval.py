"""A system with an agent whose tool needs approval."""

import os
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from shared.runs.chat_index import ChatIndex
from shared.runs.store import RunStore
from tests.support.ai_client.driver import Json
from tests.support.fakes.packages import install
from tests.support.processes import Api, Valkey, Worker, start_all, stop_all
from tests.support.sse_client import SseClient, SseEvent, check_whole, types
from tests.support.system.running_system import kill_process
from tests.support.upstream.client import Upstream
from tests.support.wait import until

#: `delete` writes a line per call. A path that starts with "slow" waits for a file.
AGENT = """
import asyncio, os
from pathlib import Path
from pydantic_ai import Agent, RunContext
from mamba.agents import AgentContext, AgentRun, register_agent

FOLDER = Path(os.environ["MARKS"])

@register_agent("clerk", description="Deletes files.")
def clerk(context: AgentContext) -> Agent[AgentRun, str]:
    agent = Agent(deps_type=AgentRun)

    @agent.tool_plain(requires_approval=True)
    async def delete(path: str) -> str:
        with (FOLDER / "deleted").open("a") as file:
            file.write(path + "\\n")
        while path.startswith("slow") and not (FOLDER / path).exists():
            await asyncio.sleep(0.01)
        return f"deleted {path}"

    @agent.tool_plain
    async def look(path: str) -> str:
        while path.startswith("slow") and not (FOLDER / path).exists():
            await asyncio.sleep(0.01)
        return f"seen {path}"

    return agent
"""


FILE = """
agents:
  - name: printer
    instructions: Print cards.
    tools: [generateCard, generateCode]
    approval: [generateCard]
"""


@dataclass
class ApprovalSystem:
    api: Api
    valkey: Valkey
    upstream: Upstream
    folder: Path
    env: dict[str, str]
    workers: list[Worker] = field(default_factory=list[Worker])

    @property
    def chat(self) -> str:
        return f"{self.api.url}/chat"

    async def start_worker(self) -> Worker:
        worker = Worker(self.valkey.url, self.upstream.base_url, self.env)
        self.workers.append(worker)
        await start_all(worker)
        return worker

    async def attempts(self, chat_id: str) -> int:
        """Return how many attempts the runs of a chat have had."""
        client, owner = self.valkey.client(), "none::anonymous"
        try:
            run_ids = await ChatIndex(client).runs(owner, chat_id)
            runs = await RunStore(client, live_ttl=600).get_many(run_ids)
        finally:
            await client.aclose()
        return sum(run.attempts for run in runs.values())

    def deleted(self, mark: str) -> list[str]:
        file = self.folder / "deleted"
        lines = file.read_text().splitlines() if file.exists() else []
        return [line for line in lines if mark in line]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def approval_system(
    upstream: Upstream, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[ApprovalSystem]:
    folder = tmp_path_factory.mktemp("approval")
    site, file = folder / "site", folder / "agents.yaml"
    site.mkdir()
    install(site, "clerk_agent", AGENT)
    file.write_text(FILE)
    valkey = Valkey()
    await start_all(valkey)
    env = {"MAMBA_AGENTS__FILE": str(file)}
    api = Api(valkey.url, env)
    env = {
        **env,
        "PYTHONPATH": f"{site}{os.pathsep}{os.environ['PYTHONPATH']}",
        "MARKS": str(folder),
    }
    system = ApprovalSystem(api, valkey, upstream, folder, env)
    try:
        await start_all(api)
        await system.start_worker()
        await until(lambda: clerk_is_listed(api))
        yield system
    finally:
        for worker in system.workers:
            await kill_process(worker)
        await stop_all(api, valkey)


async def clerk_is_listed(api: Api) -> bool:
    async with httpx.AsyncClient(timeout=60) as client:
        listed = (await client.get(f"{api.url}/agents")).json()["agents"]
    return "clerk" in [agent["name"] for agent in listed]


def call(call_id: str, path: str, name: str = "delete") -> Json:
    return {"tool": {"id": call_id, "name": name, "arguments": f'{{"path": "{path}"}}'}}


def body_of(name: str, **more: Any) -> Json:
    return {"model": name, "agent": "clerk", "sdkVersion": 6, **more}


def history(*parts: Json, **message: str) -> list[Json]:
    question = {"id": "u1", "role": "user", "parts": [{"type": "text", "text": "Hi"}]}
    content = [{"type": "step-start"}, *parts]
    return [question, {"id": "m1", "role": "assistant", "parts": content, **message}]


def response(call_id: str = "c1", *, approved: bool = True, **more: Any) -> Json:
    approval = {"id": f"approval-{call_id}", "approved": approved}
    state = "approval-responded"
    return {
        "type": "tool-delete",
        "toolCallId": call_id,
        "state": state,
        "approval": approval,
        **more,
    }


async def pending(
    system: ApprovalSystem, sse: SseClient, name: str, path: str, *more: Json
) -> SseEvent:
    """Start a chat that ends with a pending call, and return its first event."""
    await system.upstream.script(name, [[call("c1", path), *more], [{"text": ["Done."]}]])
    events = await sse.answer(system.chat, name, **body_of(name))
    check_whole(events)
    assert types(events)[-1] == "finish"
    return events[0]
