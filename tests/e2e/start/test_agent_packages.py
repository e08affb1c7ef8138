"""Agent packages in a new environment: the example, and one that `mamba agent new` has written."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from tests.support.processes import ROOT, Api, ServerProcess, Valkey, start_all, stop_all
from tests.support.sse_client import Json, SseClient, check_whole, chunks, text, types
from tests.support.system.fresh_environment import FreshEnvironment
from tests.support.system.running_system import kill_process
from tests.support.wait import until

in_session_loop = pytest.mark.asyncio(loop_scope="session")

#: The agents, and the folders of their packages.
AGENTS = {"billing": "python-agent", "weather": "weather-agent"}


@dataclass
class PackagedAgents:
    environment: FreshEnvironment
    #: The folder of the packages.
    folder: Path


@pytest.fixture(scope="module")
def packaged(tmp_path_factory: pytest.TempPathFactory) -> PackagedAgents:
    folder = tmp_path_factory.mktemp("packages")
    environment = FreshEnvironment(tmp_path_factory.mktemp("environment"))
    environment.install_copy(ROOT / "examples/python-agent", folder)
    environment.run("mamba", "agent", "new", "weather", "--dir", str(folder))
    environment.install(f"{folder / 'weather-agent'}[test]")
    return PackagedAgents(environment, folder)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def chat_url(packaged: PackagedAgents) -> AsyncGenerator[str]:
    """The chat route of an API whose worker runs in the new environment with the demo model."""
    valkey = Valkey()
    await start_all(valkey)
    api = Api(valkey.url)
    environment = packaged.environment
    variables = {"MAMBA_REDIS__URL": valkey.url, "MAMBA_OPENAI__DEMO": "true"}
    # The variables of this process name the modules that hide installed agents.
    command = ("env", "-u", "PYTHONPATH", environment.program("mamba"), "worker")
    worker = ServerProcess(*command, env=variables)
    try:
        await start_all(api)
        worker.start()
        await until(lambda: _offers_agents(api, worker), seconds=90)
        yield f"{api.url}/chat"
    finally:
        await kill_process(worker)
        await stop_all(api, valkey)


async def _offers_agents(api: Api, worker: ServerProcess) -> bool:
    assert worker.child.poll() is None, worker.output
    async with httpx.AsyncClient(timeout=30) as client:
        listed = (await client.get(f"{api.url}/agents")).json()["agents"]
    return AGENTS.keys() <= {agent["name"] for agent in listed}


def test_new_environment_uses_the_wheel(packaged: PackagedAgents) -> None:
    source = packaged.environment.run("python", "-c", "import mamba; print(mamba.__file__)")

    assert not Path(source.strip()).is_relative_to(ROOT)


@pytest.mark.parametrize("package", AGENTS.values())
def test_package_passes_its_test(packaged: PackagedAgents, package: str) -> None:
    printed = packaged.environment.run(
        "python", "-m", "pytest", "-W", "error", folder=packaged.folder / package
    )

    assert "1 passed" in printed


@in_session_loop
@pytest.mark.parametrize("agent", AGENTS)
async def test_package_agent_calls_its_tool(
    chat_url: str, sse: SseClient, name: str, agent: str
) -> None:
    events = await sse.answer(chat_url, name, text="Find invoice A17", agent=agent)

    check_whole(events)
    [output] = [c["output"] for c in chunks(events) if c["type"] == "tool-output-available"]
    assert output == "49.90 EUR"


@in_session_loop
@pytest.mark.parametrize("agent", AGENTS)
@pytest.mark.parametrize(
    ("approved", "result"),
    [(True, "Refunded 49.90 EUR for invoice A17."), (False, "Not now")],
    ids=["approved", "denied"],
)
async def test_refund_waits_for_approval(
    chat_url: str,
    sse: SseClient,
    name: str,
    agent: str,
    approved: bool,  # noqa: FBT001
    result: str,
) -> None:
    body: Json = {"agent": agent, "sdkVersion": 6}
    asked = await sse.answer(chat_url, name, text="Refund invoice A17", **body)
    check_whole(asked)
    assert types(asked)[-2:] == ["finish-step", "finish"]
    [request] = [c for c in chunks(asked) if c["type"] == "tool-approval-request"]
    call = {
        "type": "tool-refund_invoice",
        "toolCallId": request["toolCallId"],
        "state": "approval-responded",
        "approval": {"id": request["approvalId"], "approved": approved, "reason": "Not now"},
    }
    [message_id] = [c["messageId"] for c in chunks(asked) if c["type"] == "start"]
    question = {"role": "user", "parts": [{"type": "text", "text": "Refund invoice A17"}]}
    answer = {"id": message_id, "role": "assistant", "parts": [{"type": "step-start"}, call]}

    answered = await sse.answer(chat_url, name, messages=[question, answer], **body)

    assert types(answered)[-1] == "finish"
    assert result in text(answered)
