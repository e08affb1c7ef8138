"""Client tools: a run ends with their calls, and their results start the next run."""

from functools import partial
from typing import Any

import httpx
import pytest

from tests.support.ai_client.driver import VERSIONS, AiClient, Json, Result, Version
from tests.support.sse_client import SseClient, chunks, types
from tests.support.system.running_system import System

pytestmark = pytest.mark.asyncio(loop_scope="session")

versions = pytest.mark.parametrize("version", VERSIONS)

LOCATION: Json = {
    "name": "getLocation",
    "description": "Where the user is.",
    "inputSchema": {"type": "object", "properties": {"exact": {"type": "boolean"}}},
}
CARD = '{"title": "Lisbon"}'


def call(
    call_id: str = "c1", name: str = "getLocation", arguments: str = '{"exact": true}'
) -> Json:
    return {"tool": {"id": call_id, "name": name, "arguments": arguments}}


def tools(result: Result) -> list[Json]:
    assert result.message
    return [part for part in result.message["parts"] if part["type"].startswith("tool-")]


async def send_with_calls(
    system: System, ai: AiClient, name: str, version: Version, *calls: Json
) -> tuple[Result, Json]:
    """Send a message whose answer ends with these calls."""
    await system.upstream.script(
        name, [[{"text": ["Let me ", "see. "]}, *calls], [{"text": ["You are ", "in Lisbon."]}]]
    )
    body = {"model": name, "clientTools": [LOCATION], "tools": ["generateCard"]}
    page = await ai.send(ai=version, api=system.chat, chat=name, text="Where am I?", body=body)
    assert (page.status, page.error) == ("ready", None)
    return page, body


@versions
async def test_client_tool_result_continues_the_answer(
    system: System, ai: AiClient, sse: SseClient, name: str, version: Version
) -> None:
    page, body = await send_with_calls(system, ai, name, version, call())
    finish = page.chunks[0][-1]
    assert (finish["type"], finish["finishReason"]) == ("finish", "tool-calls")
    assert [(part["state"], part["input"]) for part in tools(page)] == [
        ("input-available", {"exact": True})
    ]

    done = await ai.answer(
        ai=version,
        api=system.chat,
        chat=name,
        body=body,
        messages=page.messages,
        answers={"c1": {"output": {"city": "Lisbon"}}},
    )

    assert (done.status, done.error) == ("ready", None)
    assert [message["role"] for message in done.messages] == ["user", "assistant"]
    assert done.text == "Let me see. You are in Lisbon."
    [part] = tools(done)
    assert (part["state"], part["output"]) == ("output-available", {"city": "Lisbon"})
    first, second = await system.upstream.requests(name)
    assert "getLocation" in [tool["function"]["name"] for tool in first["body"]["tools"]]
    assert [m["role"] for m in second["body"]["messages"]] == ["user", "assistant", "tool"]
    assert second["body"]["messages"][-1]["content"] == '{"city":"Lisbon"}'
    check_continuation(await sse.replay(system.other_chat, name), done)


def check_continuation(events: list[Any], done: Result) -> None:
    assert chunks(events)[0]["messageId"] == done.messages[-1]["id"]
    assert types(events)[-1] == "finish"


@versions
async def test_client_tool_error_reaches_the_model(
    system: System, ai: AiClient, name: str, version: Version
) -> None:
    page, body = await send_with_calls(system, ai, name, version, call())

    done = await ai.answer(
        ai=version,
        api=system.chat,
        chat=name,
        body=body,
        messages=page.messages,
        answers={"c1": {"error": "The user said no."}},
    )

    assert (done.status, done.text) == ("ready", "Let me see. You are in Lisbon.")
    assert tools(done)[0]["state"] == "output-error"
    _, second = await system.upstream.requests(name)
    assert "The user said no." in second["body"]["messages"][-1]["content"]


@versions
async def test_server_tool_in_the_same_step_keeps_its_result(
    system: System, ai: AiClient, name: str, version: Version
) -> None:
    page, body = await send_with_calls(
        system, ai, name, version, call("c0", "generateCard", CARD), call("c1"), call("c2")
    )
    assert [part["state"] for part in tools(page)] == [
        *("output-available", "input-available", "input-available")
    ]

    done = await ai.answer(
        ai=version,
        api=system.chat,
        chat=name,
        body=body,
        messages=page.messages,
        answers={"c1": {"output": 1}, "c2": {"output": None}},
    )

    assert (done.status, done.text) == ("ready", "Let me see. You are in Lisbon.")
    assert [part["state"] for part in tools(done)] == ["output-available"] * 3
    assert len(await system.upstream.requests(name)) == 2


@versions
@pytest.mark.parametrize("answered", [False, True])
async def test_reloaded_page_shows_the_whole_message(
    system: System,
    ai: AiClient,
    name: str,
    version: Version,
    answered: bool,  # noqa: FBT001
) -> None:
    page, body = await send_with_calls(system, ai, name, version, call())
    if answered:
        page = await ai.answer(
            ai=version,
            api=system.chat,
            chat=name,
            body=body,
            messages=page.messages,
            answers={"c1": {"output": {"city": "Lisbon"}}},
        )

    reloaded = await ai.resume(
        ai=version, api=system.other_chat, chat=name, messages=page.messages[:1]
    )

    assert (reloaded.status, reloaded.error) == ("ready", None)
    # This event makes the SDK call `onToolCall`.
    executed = "tool-input-available" in [chunk["type"] for chunk in reloaded.chunks[0]]
    assert executed == (not answered)
    assert without_provider_state(reloaded.messages[1:]) == without_provider_state(
        page.messages[1:]
    )


def without_provider_state(messages: list[Json]) -> list[Json]:
    return [{"id": m["id"], "parts": m["parts"]} for m in messages]


async def test_basic_format_supports_client_tools(
    system: System, sse: SseClient, name: str
) -> None:
    await system.upstream.script(name, [[call()], [{"text": ["In Lisbon."]}]])
    body: Json = {"model": name, "clientTools": [LOCATION]}
    basic = "text/event-stream; profile=basic"

    async with sse.ask(system.chat, name, accept=basic, **body) as stream:
        called, finished = [event.chunk for event in (await stream.rest())[:-1]]
    assert (called["type"], called["args"]) == ("tool-call", {"exact": True})
    assert finished == {"type": "finish", "finishReason": "tool-calls"}
    invocation: Json = {
        "state": "result",
        "toolCallId": "c1",
        "toolName": "getLocation",
        "args": {},
    }
    message: Json = {
        "role": "assistant",
        "content": "",
        "toolInvocations": [{**invocation, "result": "Lisbon"}],
    }
    messages: list[Json] = [{"role": "user", "content": "Where?"}, message]
    async with sse.ask(system.chat, name, accept=basic, **body, messages=messages) as stream:
        result, delta, _ = [event.chunk for event in (await stream.rest())[:-1]]

    assert result == {
        "type": "tool-result",
        "toolCallId": "c1",
        "toolName": "getLocation",
        "args": {"exact": True},
        "result": "Lisbon",
    }
    assert delta == {"type": "text-delta", "textDelta": "In Lisbon."}
    replayed = [
        event.chunk["type"] for event in (await sse.replay(system.chat, name, accept=basic))[:-1]
    ]
    assert replayed == ["tool-call", "tool-result", "text-delta", "finish"]


async def test_client_tool_with_a_server_tool_name_returns_422(
    system: System, sse: SseClient, name: str
) -> None:
    refused = await sse.post(system.chat, name, clientTools=[{**LOCATION, "name": "generateCard"}])

    assert (refused.status_code, refused.json()["field"]) == (422, "clientTools[0].name")


@versions
async def test_message_after_a_stop_during_tool_input_is_answered(
    system: System, ai: AiClient, name: str, version: Version
) -> None:
    body: Json = {"model": name, "clientTools": [LOCATION]}
    await system.upstream.script(name, [[call(), {"wait": True}]])
    ask = partial(ai.send, ai=version, api=system.chat, chat=name, body=body)

    stopped = await ask(text="Where am I?", stop_after=4)
    assert [part["state"] for part in tools(stopped)] == ["input-streaming"]
    await system.upstream.script(name, [[{"text": ["Well."]}]])
    again = await ask(text="Go on", messages=stopped.messages)

    assert (again.status, again.error, again.text) == ("ready", None, "Well.")


async def test_tool_result_repeated_with_its_key_returns_the_same_run(
    system: System, sse: SseClient, name: str
) -> None:
    await system.upstream.script(name, [[call()], [{"text": ["In Lisbon."]}]])
    request: Json = {"id": name, "model": name, "clientTools": [LOCATION]}
    await sse.answer(system.chat, name, **request)
    part = {"type": "tool-getLocation", "toolCallId": "c1", "state": "output-available"}
    message: Json = {"role": "assistant", "parts": [{**part, "input": {}, "output": "Lisbon"}]}
    messages: list[Json] = [{"role": "user", "content": "Where?"}, message]
    body: Json = {**request, "messages": messages}
    headers = {"idempotency-key": name}

    async with httpx.AsyncClient(headers=headers, trust_env=False, timeout=30) as client:
        first, second = [await client.post(system.chat, json=body) for _ in range(2)]
        other = await client.post(system.chat, json={**body, "model": "other"})

    assert first.status_code == second.status_code == 200
    assert first.headers["x-run-id"] == second.headers["x-run-id"]
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_mismatch")


async def test_results_of_earlier_steps_may_be_sent_again(
    system: System, sse: SseClient, name: str
) -> None:
    responses = [[call("c0", "generateCard", CARD)], [call("c1")], [{"text": ["In Lisbon."]}]]
    await system.upstream.script(name, responses)
    body: Json = {"model": name, "clientTools": [LOCATION], "tools": ["generateCard"]}
    await sse.answer(system.chat, name, **body)
    invocation: Json = {
        "state": "result",
        "toolName": "getLocation",
        "args": {},
        "result": "Lisbon",
    }
    calls = [{**invocation, "toolCallId": call_id} for call_id in ("c0", "c1")]
    message: Json = {"role": "assistant", "content": "", "toolInvocations": calls}
    messages: list[Json] = [{"role": "user", "content": "Where?"}, message]

    answer = await sse.answer(system.chat, name, **body, messages=messages)

    assert types(answer)[:3] == ["start", "tool-output-available", "start-step"]
    sent = (await system.upstream.requests(name))[-1]["body"]["messages"]
    results = [message["content"] for message in sent if message["role"] == "tool"]
    assert "Lisbon" in results[1]
    assert results[0] != results[1]
