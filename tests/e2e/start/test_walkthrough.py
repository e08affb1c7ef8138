"""Documented commands, settings files and requests work."""

import asyncio
import json
import shlex
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.fakes.settings_files import CURRENT, HOME_FILE, KEY, PREVIOUS
from tests.support.processes import ServerProcess, free_port
from tests.support.system.running_system import System, kill_process
from tests.support.wait import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

ASK = """\
curl -X POST http://localhost:8000{path} \\
  -H "Content-Type: application/json" \\
  -d '{{
    "messages": [
      {{"role": "user", "content": "Hello, how are you?"}}
    ]
  }}'"""
SYSTEM = {"role": "system", "content": "You are a helpful assistant."}
BODIES: dict[str, dict[str, Any]] = {
    "a system message": {
        "messages": [SYSTEM, {"role": "user", "content": "Hello!"}],
        "model": "gpt-4o",
    },
    "the earlier default": {
        "messages": [SYSTEM, {"role": "user", "content": "Hello!"}],
        "model": "gpt-4o-mini",
    },
    "tools and no agent": {
        "messages": [{"role": "user", "content": "Hello!"}],
        "model": "gpt-4o",
        "tools": ["generateForm", "generateChart"],
        "agent": None,
    },
}
RESEARCH = {
    "messages": [{"role": "user", "content": "Research the latest trends in AI"}],
    "model": "openai/gpt-4o",
    "agent": "research",
}
PYTHON = shlex.quote(sys.executable)
COMMANDS = {
    "uvicorn": f"{PYTHON} -m uvicorn mamba.main:app --port {{port}}",
    "uvicorn, reloading": f"{PYTHON} -m uvicorn mamba.main:app --reload --port {{port}}",
    "uvicorn, on all addresses": (
        f"{PYTHON} -m uvicorn mamba.main:app --host 0.0.0.0 --port {{port}}"
    ),
    "the module": f"MAMBA_SERVER__PORT={{port}} {PYTHON} -m mamba",
}


@pytest.fixture
async def upstream_answers(system: System) -> None:
    for model in ("gpt-4o", "gpt-4o-mini"):
        await system.upstream.script(model, [[{"text": ["Hel", "lo"]}]])


@asynccontextmanager
async def started(command: str, folder: Path, system: System) -> AsyncGenerator[httpx.AsyncClient]:
    """Start the API with this command in this folder, and wait until it is alive."""
    port = free_port()
    shell = f"cd {shlex.quote(str(folder))} && exec env {command.format(port=port)}"
    env = {"HOME": str(folder), "MAMBA_REDIS__URL": system.valkey.url}
    process = ServerProcess("bash", "-c", shell, env=env).start()
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:

            async def alive() -> bool:
                assert process.child.poll() is None, process.output
                try:
                    return (await client.get("/health/live")).status_code == 200
                except httpx.TransportError:
                    return False

            await until(alive, seconds=30)
            yield client
        process.send(signal.SIGINT)
        await process.ended()
    finally:
        await kill_process(process)


def answer_text(stream: str) -> str:
    events = [line[6:] for line in stream.splitlines() if line.startswith("data: {")]
    chunks = [json.loads(event) for event in events]
    return "".join(chunk["delta"] for chunk in chunks if chunk["type"] == "text-delta")


@pytest.mark.usefixtures("upstream_answers")
@pytest.mark.parametrize("path", ["/chat", "/chat/completions"])
async def test_documented_curl_is_answered(system: System, path: str) -> None:
    command = ASK.format(path=path).replace("http://localhost:8000", system.apis[0].url)

    curl = await asyncio.create_subprocess_exec(
        "bash", "-c", f"{command} --silent", stdout=subprocess.PIPE
    )
    printed, _ = await curl.communicate()

    assert answer_text(printed.decode()) == "Hello"
    assert printed.endswith(b"data: [DONE]\n\n")


@pytest.mark.usefixtures("upstream_answers")
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
async def test_documented_body_is_answered(system: System, body: dict[str, Any]) -> None:
    before = len(await system.upstream.requests(body["model"]))
    async with httpx.AsyncClient(timeout=20) as client:
        response = await client.post(system.chat, json=body)

    assert answer_text(response.text) == "Hello"
    asked = (await system.upstream.requests(body["model"]))[before]["body"]
    assert body["messages"][-1]["content"] in json.dumps(asked["messages"][-1])
    if SYSTEM in body["messages"]:
        assert SYSTEM["content"] in json.dumps(asked["messages"][:-1])
    assert names(asked) == set(body.get("tools", []))


@pytest.mark.usefixtures("upstream_answers")
async def test_agent_ignores_requested_tools(system: System) -> None:
    before = len(await system.upstream.requests("gpt-4o"))
    async with httpx.AsyncClient(timeout=20) as client:
        response = await client.post(system.chat, json={**RESEARCH, "tools": ["generateForm"]})

    assert answer_text(response.text) == "Hello"
    asked = (await system.upstream.requests("gpt-4o"))[before]["body"]
    assert "search_notes" in names(asked)
    assert "generateForm" not in names(asked)


def names(asked: dict[str, Any]) -> set[str]:
    tools: Sequence[dict[str, Any]] = asked.get("tools") or ()
    return {tool["function"]["name"] for tool in tools}


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS.keys())
async def test_documented_command_serves_the_api(
    system: System, tmp_path: Path, command: str
) -> None:
    async with started(command, tmp_path, system) as client:
        assert (await client.get("/health/ready")).status_code == 200
        assert (await client.get("/docs")).status_code == 200
        assert (await client.get("/redoc")).status_code == 200
        assert "models" in (await client.get("/models")).json()


@pytest.mark.parametrize("text", [CURRENT, PREVIOUS], ids=["current", "earlier"])
async def test_documented_yaml_requires_a_key(system: System, tmp_path: Path, text: str) -> None:
    (tmp_path / "config.local.yaml").write_text(text)

    async with started(COMMANDS["the module"], tmp_path, system) as client:
        assert (await client.get("/models")).status_code == 401
        assert (await client.get("/models", headers={"x-api-key": KEY})).status_code == 200
        assert (await client.get("/models", headers={"x-api-key": "other"})).status_code == 401


async def test_documented_env_file_requires_a_key(system: System, tmp_path: Path) -> None:
    (tmp_path / "mamba.env").write_text(HOME_FILE)

    async with started(COMMANDS["the module"], tmp_path, system) as client:
        assert (await client.get("/models")).status_code == 401
        assert (await client.get("/models", headers={"x-api-key": KEY})).status_code == 401
