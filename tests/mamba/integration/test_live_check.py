"""`mamba doctor --provider` against servers of different kinds."""

from typing import Any

from mamba.operate.doctor.diagnosis import Diagnosis
from mamba.operate.doctor.provider_check import check_provider_live
from shared.settings import Settings
from tests.support.upstream.client import Upstream, sse_body


def stream(delta: dict[str, Any], reason: str) -> dict[str, str]:
    """A streamed answer with one chunk and its token usage."""
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    usage = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}
    return {"raw": sse_body({"choices": [choice], "usage": usage})}


FUNCTION = {"name": "ping", "arguments": '{"text": "OK"}'}
CALL = stream({"tool_calls": [{"index": 0, "id": "c", "function": FUNCTION}]}, "tool_calls")
ANSWER = stream({"content": "OK", "reasoning_content": "Hm"}, "stop")


async def findings(upstream: Upstream, model: str | None = None) -> dict[str, Diagnosis]:
    provider = {"base_url": upstream.base_url, "api_key": "sk-secret-key"}
    settings = Settings.model_validate({"providers": {"scripted": provider}})
    found = [finding async for finding in check_provider_live(settings, "scripted", model)]
    assert "sk-secret-key" not in str(found)
    return {finding.part: finding for finding in found}


async def test_working_server_passes_each_step(upstream: Upstream) -> None:
    await upstream.clear()
    await upstream.script("m", [[{"text": ["unused"]}]], [ANSWER, CALL, ANSWER])
    found = await findings(upstream)
    assert [finding.status for finding in found.values()] == ["ok"] * 4
    assert found["server"].message.startswith("compatible, ")
    assert found["models"].message == "1"
    assert "5 + 3 tokens, reasoning" in found["answer"].message


async def test_rejected_tools_name_the_setting(upstream: Upstream) -> None:
    refusal = {"status": 400, "body": {"error": "library/m does not support tools"}}
    await upstream.clear()
    await upstream.script("m", [[{"text": ["unused"]}]], [ANSWER, refusal])
    found = (await findings(upstream, "m"))["tool call"]
    assert (found.status, found.fix) == ("error", "set providers.scripted.profile.tools: false")
    assert "reason=tools_unsupported" in found.message
