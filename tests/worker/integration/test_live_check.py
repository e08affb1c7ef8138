"""`mamba doctor --provider` against servers of different kinds."""

import asyncio
import json
import os
import sys
from collections.abc import Generator
from typing import Any

import pytest

from tests.support.processes import ROOT
from tests.support.upstream.client import Upstream


@pytest.fixture(scope="module")
def upstream() -> Generator[Upstream]:
    server = Upstream()
    server.start()
    yield server
    server.stop()


def stream(delta: dict[str, Any], reason: str) -> dict[str, str]:
    """A streamed answer with one chunk and its token usage."""
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    usage = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}
    return {"raw": f"data: {json.dumps({'choices': [choice], 'usage': usage})}\n\ndata: [DONE]\n\n"}


FUNCTION = {"name": "ping", "arguments": '{"text": "OK"}'}
CALL = stream({"tool_calls": [{"index": 0, "id": "c", "function": FUNCTION}]}, "tool_calls")
ANSWER = stream({"content": "OK", "reasoning_content": "Hm"}, "stop")


async def doctor(upstream: Upstream, *arguments: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "mamba", "doctor", "--provider", *arguments),
        cwd=ROOT,
        env={
            **os.environ,
            "MAMBA_PROVIDERS__SCRIPTED__BASE_URL": upstream.base_url,
            "MAMBA_PROVIDERS__SCRIPTED__API_KEY": "sk-secret-key",
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, error = await process.communicate()
    assert b"Traceback" not in error
    assert b"sk-secret-key" not in out + error
    return process.returncode or 0, (out or error).decode()


async def test_working_server_passes_each_step(upstream: Upstream) -> None:
    await upstream.clear()
    await upstream.script("m", [[{"text": ["unused"]}]], [ANSWER, CALL, ANSWER])
    code, out = await doctor(upstream, "scripted", "--json")
    found = {row["part"]: row for row in json.loads(out)}
    assert [row["status"] for row in found.values()] == ["ok"] * 4
    assert found["server"]["finding"].startswith("compatible, ")
    assert found["models"]["finding"] == "1"
    assert "5 + 3 tokens, reasoning" in found["answer"]["finding"]
    assert code == 0


async def test_rejected_tools_name_the_setting(upstream: Upstream) -> None:
    refusal = {"status": 400, "body": {"error": "library/m does not support tools"}}
    await upstream.clear()
    await upstream.script("m", [[{"text": ["unused"]}]], [ANSWER, refusal])
    code, out = await doctor(upstream, "scripted", "--model", "m")
    assert "set providers.scripted.profile.tools: false" in out
    assert "reason=tools_unsupported" in out
    assert code == 1
