"""Chats of an unmodified AI SDK client."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

import pytest

from tests.support.ai_client.driver import VERSIONS, AiClient, Result, Version
from tests.support.sse_client import Json
from tests.support.system.running_system import System

pytestmark = pytest.mark.asyncio(loop_scope="session")

CARD: Json = {
    "tool": {
        "id": "call-1",
        "name": "generateCard",
        "arguments": '{"title": "Mamba", "body": "A **snake**."}',
        "pieces": 6,
    }
}
CHART: Json = {
    "tool": {"id": "call-2", "name": "generateCard", "arguments": '{"title": "Adder"}'},
}

Send = Callable[..., Awaitable[Result]]


@pytest.fixture(params=VERSIONS)
def send(request: pytest.FixtureRequest, system: System, ai: AiClient, name: str) -> Send:
    """Sends in one chat, with each version of the client."""
    body = {"model": name, "tools": ["generateCard"]}
    return partial(ai.send, ai=request.param, api=system.chat, chat=name, body=body)


async def test_message_gets_an_answer(system: System, send: Send, name: str) -> None:
    await system.upstream.script(name, [[{"text": ["Hello", ", ", "world", "."]}]])

    answer = await send(text="Hi")

    _check_ready(answer, "Hello, world.")
    assert [finish.finish_reason for finish in answer.finishes] in (["stop"], [None])


async def test_tool_call_is_shown_with_its_result(system: System, send: Send, name: str) -> None:
    await system.upstream.script(name, [[{"text": ["A card: "]}, CARD], [{"text": ["There."]}]])

    answer = await send(text="Show me a card")

    _check_ready(answer, "A card: There.")
    [tool] = _parts(answer, "tool-generateCard")
    assert tool["state"] == "output-available"
    assert tool["toolCallId"] == "call-1"
    assert tool["input"] == {"title": "Mamba", "body": "A **snake**."}
    assert tool["output"]["title"] == "Mamba"
    first, second = await system.upstream.requests(name)
    assert [tool["function"]["name"] for tool in first["body"]["tools"]] == ["generateCard"]
    assert [message["role"] for message in second["body"]["messages"]][-2:] == ["assistant", "tool"]


async def test_multiple_steps_are_shown_in_order(system: System, send: Send, name: str) -> None:
    responses = [[{"text": ["One."]}, CARD], [{"text": ["Two."]}, CHART], [{"text": ["Three."]}]]
    await system.upstream.script(name, responses)

    answer = await send(text="Count")

    _check_ready(answer, "One.Two.Three.")
    assert answer.message is not None
    assert [part["type"] for part in answer.message["parts"]] == [
        *("step-start", "text", "tool-generateCard"),
        *("step-start", "text", "tool-generateCard"),
        *("step-start", "text"),
    ]


async def test_reasoning_is_shown_before_the_answer(system: System, send: Send, name: str) -> None:
    script = [[{"reasoning": ["Let me", " think."]}, {"text": ["Forty-two."]}]]
    await system.upstream.script(name, script)

    answer = await send(text="What is the answer?")

    _check_ready(answer, "Forty-two.")
    [reasoning] = _parts(answer, "reasoning")
    assert reasoning["text"] == "Let me think."


async def test_invalid_tool_arguments_are_shown_and_retried(
    system: System, send: Send, name: str
) -> None:
    wrong = {"tool": {"id": "call-0", "name": "generateCard", "arguments": '{"titel": "Mamba"}'}}
    await system.upstream.script(name, [[wrong], [CARD], [{"text": ["There."]}]])

    answer = await send(text="Show me a card")

    _check_ready(answer, "There.")
    tools = _parts(answer, "tool-generateCard")
    assert [tool["state"] for tool in tools] == ["output-error", "output-available"]


async def test_next_message_includes_the_history(system: System, send: Send, name: str) -> None:
    await system.upstream.script(name, [[{"text": ["A card: "]}, CARD], [{"text": ["There."]}]])
    first = await send(text="Show me a card")
    await system.upstream.script(name, [[{"text": ["Gladly."]}]])

    second = await send(text="Thanks", messages=first.messages)

    _check_ready(second, "Gladly.")
    assert len(second.messages) == 4
    assert len({message["id"] for message in second.messages}) == 4
    sent = (await system.upstream.requests(name))[-1]["body"]["messages"]
    assert [message["role"] for message in sent] == [
        *("user", "assistant", "tool", "assistant"),
        "user",
    ]
    assert [message["content"] for message in sent if message["role"] == "user"] == [
        "Show me a card",
        "Thanks",
    ]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("by_id", [True, False], ids=["by id", "last message"])
async def test_regenerate_replaces_the_answer(
    system: System, ai: AiClient, name: str, version: Version, *, by_id: bool
) -> None:
    page = partial(ai.send, ai=version, api=system.chat, chat=name, body={"model": name})
    await system.upstream.script(name, [[{"text": ["First."]}]])
    first = await page(text="Hi")
    await system.upstream.script(name, [[{"text": ["Second."]}]])

    assert first.message is not None
    regenerated = await ai.regenerate(
        ai=version,
        api=system.chat,
        chat=name,
        body={"model": name},
        messages=first.messages,
        message_id=first.message["id"] if by_id else None,
    )

    _check_ready(regenerated, "Second.")
    assert [message["role"] for message in regenerated.messages] == ["user", "assistant"]
    [_, again] = await system.upstream.requests(name)
    assert [message["role"] for message in again["body"]["messages"]] == ["user"]


async def test_concurrent_chats_do_not_mix(system: System, ai: AiClient, name: str) -> None:
    async def ask(number: int) -> None:
        model = f"{name}-{number}"
        await system.upstream.script(model, [[{"text": [f"{number}-"] * 20, "delay": 0.005}]])
        answer = await ai.send(
            ai=VERSIONS[number % 3], api=system.chat, chat=model, text="Hi", body={"model": model}
        )
        _check_ready(answer, f"{number}-" * 20)

    await asyncio.gather(*map(ask, range(30)))


def _check_ready(answer: Result, text: str) -> None:
    assert (answer.error, answer.status, answer.text) == (None, "ready", text)
    assert [request.method for request in answer.requests] == ["POST"]
    assert answer.requests[0].done


def _parts(answer: Result, kind: str) -> list[Json]:
    assert answer.message is not None
    return [part for part in answer.message["parts"] if part["type"] == kind]
