"""Servers that reject tool calls without their reasoning, with the real AI SDK client."""

from typing import Any

import pytest

from tests.support.ai_client.driver import AiClient, Json, Result, Version
from tests.support.system.running_system import System
from tests.support.upstream.quirks import Quirk
from tests.support.upstream.rules import Rule

pytestmark = pytest.mark.asyncio(loop_scope="session")

formats = pytest.mark.parametrize(
    ("version", "quirks", "rule"),
    [
        ("5", [], "reasoning_content-with-calls"),
        ("6", ["reasoning-details"], "reasoning_details-with-calls"),
        ("7", ["call-extensions"], "extensions-with-calls"),
    ],
)

LOCATION: Json = {"name": "getLocation", "inputSchema": {"type": "object", "properties": {}}}
BODY: Json = {"clientTools": [LOCATION], "tools": ["generateCard"]}


def step(name: str, arguments: str) -> list[Json]:
    tool = {"id": f"call-{name}", "name": name, "arguments": arguments}
    return [{"reasoning": ["I ", "think"]}, {"tool": tool}]


CARD = step("generateCard", '{"title": "Lisbon"}')
ANSWER: list[Json] = [{"reasoning": ["So"]}, {"text": ["In Lisbon."]}]


async def sent_with_calls(system: System, name: str) -> list[Any]:
    messages = (await system.upstream.requests(name))[-1]["body"]["messages"]
    return [message for message in messages if message.get("tool_calls")]


def check(page: Result, text: str) -> None:
    assert (page.status, page.error, page.text) == ("ready", None, text)


@formats
async def test_next_question_repeats_the_reasoning(
    system: System, ai: AiClient, name: str, version: Version, quirks: list[Quirk], rule: Rule
) -> None:
    await system.upstream.script(name, [CARD, ANSWER], quirks=quirks, rules=[rule])
    body = {"model": name, **BODY}
    page = await ai.send(ai=version, api=system.chat, chat=name, text="Where?", body=body)
    check(page, "In Lisbon.")

    done = await ai.send(
        ai=version, api=system.chat, chat=name, text="Sure?", body=body, messages=page.messages
    )

    check(done, "In Lisbon.")
    assert len(await sent_with_calls(system, name)) == 2


@formats
async def test_client_tool_result_repeats_the_reasoning(
    system: System, ai: AiClient, name: str, version: Version, quirks: list[Quirk], rule: Rule
) -> None:
    steps = [CARD, step("getLocation", "{}"), ANSWER]
    await system.upstream.script(name, steps, quirks=quirks, rules=[rule])
    body = {"model": name, **BODY}
    page = await ai.send(ai=version, api=system.chat, chat=name, text="Where?", body=body)
    assert (page.status, page.error) == ("ready", None)

    done = await ai.answer(
        ai=version,
        api=system.chat,
        chat=name,
        body=body,
        messages=page.messages,
        answers={"call-getLocation": {"output": {"city": "Lisbon"}}},
    )

    check(done, "In Lisbon.")
    assert len(await sent_with_calls(system, name)) == 2
