"""Two tabs that show the same chat, and both execute its client tool."""

import asyncio

import httpx
import pytest

from tests.support.ai_client.driver import VERSIONS, AiClient, Json, Result, Version
from tests.support.ai_client.stored_message import comparable_message, read_stored_message
from tests.support.system.running_system import System
from tests.support.wait import until

pytestmark = pytest.mark.asyncio(loop_scope="session")
every_version = pytest.mark.parametrize("version", VERSIONS)

CALL: Json = {"tool": {"id": "c1", "name": "getLocation", "arguments": "{}"}}
TOOL: Json = {"name": "getLocation", "description": "Where the user is.", "inputSchema": {}}
QUESTION: list[Json] = [{"text": ["Let me see. "]}, CALL]
PAUSED: list[Json] = [{"text": ["You are "]}, {"wait": True}, {"text": ["in Lisbon."]}]
ANSWER = "Let me see. You are in Lisbon."


@every_version
async def test_second_tab_follows_the_answer_of_the_first(
    system: System, ai: AiClient, name: str, version: Version
) -> None:
    page = await _ask(system, ai, name, version)
    first = asyncio.create_task(_answer(system, ai, name, version, page, "Lisbon"))
    await system.upstream.until(name, lambda got: len(got) == 2 and got[1]["sent"] > 0)
    second = asyncio.create_task(_answer(system, ai, name, version, page, "Porto"))
    await until(lambda: _has_two_clients(system))
    await system.upstream.release(name)

    await _check_both(system, name, await first, await second)


@every_version
async def test_second_tab_shows_an_answer_that_has_ended(
    system: System, ai: AiClient, name: str, version: Version
) -> None:
    page = await _ask(system, ai, name, version)
    await system.upstream.release(name)
    first = await _answer(system, ai, name, version, page, "Lisbon")
    second = await _answer(system, ai, name, version, page, "Porto")

    await _check_both(system, name, first, second)


async def test_tabs_that_answer_at_the_same_time_show_one_answer(
    system: System, ai: AiClient, name: str
) -> None:
    page = await _ask(system, ai, name, "7")
    await system.upstream.release(name)
    tabs = [_answer(system, ai, name, "7", page, "Lisbon") for _ in range(8)]

    await _check_both(system, name, *await asyncio.gather(*tabs))


async def _ask(system: System, ai: AiClient, name: str, version: Version) -> Result:
    """Send a message whose answer waits for the client tool."""
    await system.upstream.script(name, [QUESTION, PAUSED])
    page = await ai.send(
        ai=version, api=system.chat, chat=name, text="Where am I?", body=_body(name), mamba=True
    )
    assert (page.status, page.error) == ("ready", None)
    return page


async def _answer(
    system: System, ai: AiClient, name: str, version: Version, page: Result, city: str
) -> Result:
    return await ai.answer(
        ai=version,
        api=system.other_chat,
        chat=name,
        body=_body(name),
        messages=page.messages,
        answers={"c1": {"output": city}},
        mamba=True,
    )


async def _has_two_clients(system: System) -> bool:
    """Return whether both tabs receive an answer."""
    async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
        metrics = (await client.get(f"{system.apis[1].url}/metrics")).text
    return "mamba_stream_clients 2.0" in metrics


def _body(name: str) -> Json:
    return {"model": name, "clientTools": [TOOL]}


async def _check_both(system: System, name: str, *tabs: Result) -> None:
    """Check that all tabs show the one answer of the chat, with the result that the model got."""
    assert [(tab.status, tab.error, tab.text) for tab in tabs] == [("ready", None, ANSWER)] * len(
        tabs
    )
    statuses = sorted(request.status or 0 for tab in tabs for request in tab.requests)
    assert statuses == [200] * len(tabs) + [409] * (len(tabs) - 1)
    assert len(await system.upstream.requests(name)) == 2
    stored = await read_stored_message(f"{system.chat}/{name}/message")
    for tab in tabs:
        assert tab.message
        assert comparable_message(tab.message) == stored
