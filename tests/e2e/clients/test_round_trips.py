"""After any end of an answer, the real AI SDK client can ask, regenerate, and edit."""

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple

import pytest

from tests.support.ai_client.driver import VERSIONS, AiClient, Json, Options, Result, Version
from tests.support.ai_client.stored_message import check_stored_message
from tests.support.system.running_system import System
from tests.support.upstream.client import sse_body

pytestmark = pytest.mark.asyncio(loop_scope="session")

TOOL: Json = {"id": "c1", "name": "generateCard", "arguments": '{"title": "Lisbon"}'}
CARD: Json = {"tool": TOOL}
WAIT: Json = {"wait": True}
REJECTED: Json = {"error": {"message": "No.", "type": "invalid_request_error"}}


def stream(*deltas: Json) -> Json:
    """Return a response of the model that breaks after these deltas."""
    chunks = [{"choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    return {"raw": sse_body(*chunks, REJECTED, done=False)}


def call_delta(arguments: str) -> Json:
    function = {"name": "generateCard", "arguments": arguments}
    return {"tool_calls": [{"index": 0, "id": "c1", "function": function}]}


class Ending(NamedTuple):
    """How the first answer ends: what the model sends, and the chunk at which the user stops."""

    #: The parts of the answer that the client has, without `step-start`.
    parts: list[str]
    responses: list[list[Json]]
    failures: Sequence[Json] = ()
    stop_at: str | None = None


ENDINGS = {
    "complete": Ending(["text"], [[{"text": ["Hello"]}]]),
    "complete after a tool": Ending(["tool-generateCard", "text"], [[CARD], [{"text": ["Hello"]}]]),
    "stopped in the text": Ending(["text"], [[{"text": ["Hello"]}, WAIT]], (), "text-delta"),
    "stopped in the reasoning": Ending(
        ["reasoning"], [[{"reasoning": ["Hm"]}, WAIT]], (), "reasoning-delta"
    ),
    "stopped in a tool's input": Ending(
        ["tool-generateCard"],
        [[{"tool": {**TOOL, "pieces": 2, "held_after": 1}}]],
        (),
        "tool-input-delta",
    ),
    "stopped after a tool": Ending(
        ["tool-generateCard"], [[CARD], [WAIT]], (), "tool-output-available"
    ),
    "failed at once": Ending([], [[]], [{"status": 400}]),
    "failed in the text": Ending(["text"], [[]], [stream({"content": "Hello"})]),
    "failed in the reasoning": Ending(["reasoning"], [[]], [stream({"reasoning": "Hm"})]),
    "failed in a tool's input": Ending(
        ["tool-generateCard"], [[]], [stream(call_delta('{"title":'))]
    ),
    "failed after a tool": Ending(
        ["tool-generateCard"], [[CARD], []], [{"ok": True}, {"status": 400}]
    ),
}


@pytest.mark.parametrize("ending", ENDINGS.values(), ids=ENDINGS)
async def test_chat_goes_on_after_any_ending(
    system: System, ai: AiClient, name: str, ending: Ending
) -> None:
    await asyncio.gather(
        *(_go_on(system, ai, f"{name}-{version}", version, ending) for version in VERSIONS)
    )


async def _go_on(system: System, ai: AiClient, name: str, version: Version, end: Ending) -> None:
    page: Any = {"ai": version, "api": system.chat, "chat": name}
    page["body"] = {"model": name, "tools": ["generateCard"]}
    stop: Options = {"stop_at": end.stop_at} if end.stop_at else {}
    await system.upstream.script(name, end.responses, end.failures)
    first = await ai.send(text="Hi", **page, **stop)
    assert _parts(first) == end.parts
    assert (first.error is not None) == bool(end.failures)
    await check_stored_message(ai, system.chat, name)

    # The strict server rejects histories that real ones reject.
    await system.upstream.script(name, [[{"text": ["Well"]}]], rules=["alternating-roles"])
    page["messages"] = first.messages
    question = first.messages[0]["id"]
    _check_answered(await ai.send(text="Go on", **page), ["Hi", "Go on"])
    _check_answered(await ai.regenerate(**page), ["Hi"])
    _check_answered(await ai.send(text="Hey", message_id=question, **page), ["Hey"])
    for request in (await system.upstream.requests(name))[-3:]:
        _check_calls_have_results(request["body"]["messages"])


def _parts(result: Result) -> list[str]:
    parts: list[Json] = result.message["parts"] if result.message else []
    return [part["type"] for part in parts if part["type"] != "step-start"]


def _check_answered(result: Result, questions: list[str]) -> None:
    assert (result.status, result.error, result.text) == ("ready", None, "Well")
    asked = [message for message in result.messages if message["role"] == "user"]
    assert [message["parts"][0]["text"] for message in asked] == questions


def _check_calls_have_results(messages: list[Json]) -> None:
    calls = [call["id"] for message in messages for call in message.get("tool_calls") or ()]
    assert calls == [m["tool_call_id"] for m in messages if m["role"] == "tool"]
