"""`Chat.tsx` of the documentation, with each version of the AI SDK, in a real browser."""

import json

import httpx
import pytest

from tests.support.ai_client.driver import VERSIONS, Json, Version
from tests.support.ai_client.stored_message import read_stored_message
from tests.support.browser.page import Browser
from tests.support.chat_page.documented_code import blocks
from tests.support.chat_page.documented_window import open_documented_window
from tests.support.fakes.proxy import Proxy
from tests.support.system.approval import ApprovalSystem, approval_system
from tests.support.system.running_system import System

pytestmark = pytest.mark.asyncio(loop_scope="session")
every_version = pytest.mark.parametrize("version", VERSIONS)
approving = approval_system

PAUSED: list[list[Json]] = [[{"text": ["Hel"]}, {"wait": True}, {"text": ["lo"]}]]
CARD: Json = {
    "title": "Lisbon",
    "actions": [
        {"type": "reply", "label": "More", "text": "More, please"},
        {"type": "submit", "label": "Book", "name": "book", "values": {"city": "Lisbon"}},
    ],
}
CHART: Json = {
    "type": "bar",
    "title": "Visitors",
    "categories": ["May", "June"],
    "yAxis": {"unit": "visitors per day"},
    "series": [
        {"name": "Lisbon", "values": [120, 150]},
        {"name": "Porto", "values": [80, 95]},
    ],
}


#: Calls `cachedToken` three times, while each request receives another token.
CACHED_TOKEN = """
(async () => {
  let count = 0;
  window.fetch = async () => Response.json({ token: `t${++count}` });
  const headers = [await cachedToken(), await cachedToken(), await cachedToken({ refresh: true })];
  return headers.map(({ authorization }) => authorization);
})()
"""


def call(name: str, arguments: Json) -> list[Json]:
    return [{"tool": {"id": "c1", "name": name, "arguments": json.dumps(arguments)}}]


@every_version
async def test_reloaded_page_shows_each_message_once(
    system: System, browser: Browser, chat_pages: str, name: str, version: Version
) -> None:
    """Reload in the middle of the answer, and again after its end."""
    await system.upstream.script(name, PAUSED)
    async with open_documented_window(
        browser, chat_pages, version, api=system.chat, chat=name
    ) as page:
        await page.send("Hi")
        await page.wait_for_text("Hel", ".assistant")
        await page.open()
        await page.wait_for_text("Hel", ".assistant")
        await system.upstream.release(name)
        await page.wait_for_text("Hello", ".assistant")
        shown = await page.messages()
        await page.open()
        await page.wait_for_text("Hello", ".assistant")
        shown_again = await page.messages()
    assert shown == shown_again == [["user", "Hi"], ["assistant", "Hello"]]


@every_version
async def test_stop_keeps_the_text_and_frees_the_chat(
    system: System, browser: Browser, chat_pages: str, name: str, version: Version
) -> None:
    await system.upstream.script(name, PAUSED)
    async with open_documented_window(
        browser, chat_pages, version, api=system.chat, chat=name
    ) as page:
        await page.send("Hi")
        await page.wait_for_text("Hel", ".assistant")
        await page.click("button", "Stop")
        await system.upstream.until(name, lambda got: got[0]["outcome"] == "client-closed")
        await system.upstream.script(name, [[{"text": ["Fine"]}]])
        await page.send("How are you?")
        await page.wait_for_text("Fine", ".assistant:last-of-type")
        shown = await page.messages()
    user, answer = ["user", "How are you?"], ["assistant", "Fine"]
    assert shown == [["user", "Hi"], ["assistant", "Hel"], user, answer]


@every_version
async def test_file_reaches_the_model(
    system: System, browser: Browser, chat_pages: str, name: str, version: Version
) -> None:
    await system.upstream.script(name, [[{"text": ["Noted"]}]])
    async with open_documented_window(
        browser, chat_pages, version, api=system.chat, chat=name
    ) as page:
        await page.select_file("notes.txt", "The canary is yellow.")
        await page.send("Read this")
        await page.wait_for_text("Noted", ".assistant")
        await page.messages()
        await page.send("And now?")
        await page.wait_for_text("Noted", ".assistant:nth-of-type(4)")
        await page.messages()
    first, second = await system.upstream.requests(name)
    assert "The canary is yellow." in str(first["body"]["messages"][-1])
    assert "canary" not in str(second["body"]["messages"][-1])


@every_version
async def test_card_is_shown_and_its_buttons_work(
    system: System, browser: Browser, chat_pages: str, name: str, version: Version
) -> None:
    await system.upstream.script(name, [call("generateCard", CARD), [{"text": ["Here"]}]])
    async with open_documented_window(
        browser, chat_pages, version, api=system.chat, chat=name
    ) as page:
        await page.send("Show me a city")
        await page.wait_for_text("Lisbon", ".assistant h3")
        await page.messages()
        await page.click(".assistant button", "Book")
        await page.wait_for_text('act book {"city":"Lisbon"}')
        await system.upstream.script(name, [[{"text": ["It is old"]}]])
        await page.click(".assistant button", "More")
        await page.wait_for_text("It is old")
        assert (await page.messages())[2] == ["user", "More, please"]


@every_version
async def test_card_button_changes_no_live_answer(
    system: System, browser: Browser, chat_pages: str, name: str, version: Version
) -> None:
    await system.upstream.script(name, [call("generateCard", CARD), *PAUSED])
    async with open_documented_window(
        browser, chat_pages, version, api=system.chat, chat=name
    ) as page:
        await page.send("Show me a city")
        await page.wait_for_text("Lisbon", ".assistant h3")
        await page.wait_for_text("Hel", ".assistant > p")
        await page.click(".assistant button", "More")
        await system.upstream.release(name)
        await page.wait_for_text("Hello", ".assistant > p")
        assert [author for author, _ in await page.messages()] == ["user", "assistant"]


@every_version
async def test_chart_has_colors_and_whole_labels(
    system: System, browser: Browser, chat_pages: str, name: str, version: Version
) -> None:
    await system.upstream.script(name, [call("generateChart", CHART), [{"text": ["Here"]}]])
    async with open_documented_window(
        browser, chat_pages, version, api=system.chat, chat=name
    ) as page:
        await page.send("Show me a chart")
        await page.wait_for_text("Here", ".assistant")
        bars = "[...document.querySelectorAll('.recharts-bar')]"
        colors = f"new Set({bars}.map(bar => bar.querySelector('path').getAttribute('fill'))).size"
        await page.wait_until(f"{colors} === 2")
        await page.wait_until(
            "[...document.querySelectorAll('.recharts-yAxis text')].every(label =>"
            " label.getBoundingClientRect().left >="
            " label.closest('svg').getBoundingClientRect().left)"
        )


@pytest.mark.parametrize("version", ["6", "7"])
async def test_call_is_executed_once_after_the_approval(
    approving: ApprovalSystem, browser: Browser, chat_pages: str, name: str, version: Version
) -> None:
    """Reload while the call waits for the user, and after the end of the answer."""
    script = [call("generateCard", CARD), [{"text": ["Here"]}]]
    await approving.upstream.script(name, script)
    async with open_documented_window(
        browser, chat_pages, version, api=approving.chat, chat=name, agent="printer"
    ) as page:
        await page.send("Print a card")
        await page.wait_for_text("Allow", ".assistant button")
        await page.open()
        await page.click(".assistant button:enabled", "Allow")
        await page.wait_for_text("Here", ".assistant")
        await page.open()
        await page.wait_for_text("Here", ".assistant")
        shown = await page.messages()
    assert [author for author, _ in shown] == ["user", "assistant"]
    assert shown[1][1].count("Lisbon") == 1
    # On a busy machine, a lease can expire. The next attempt repeats the model request.
    requests = await approving.upstream.requests(name)
    assert 2 <= len(requests) <= await approving.attempts(name)
    results = [m for m in requests[-1]["body"]["messages"] if m["role"] == "tool"]
    assert [result["tool_call_id"] for result in results] == ["c1"]


@pytest.mark.parametrize("version", ["6", "7"])
async def test_approval_is_disabled_after_a_newer_message(
    approving: ApprovalSystem, browser: Browser, chat_pages: str, name: str, version: Version
) -> None:
    await approving.upstream.script(name, [call("generateCard", CARD)])
    async with open_documented_window(
        browser, chat_pages, version, api=approving.chat, chat=name, agent="printer"
    ) as page:
        await page.send("Print a card")
        await page.wait_for_text("Allow", ".assistant button:enabled")
        await page.messages()
        await approving.upstream.script(name, [[{"text": ["Fine"]}]])
        await page.send("Never mind")
        await page.wait_for_text("Fine", ".assistant:last-of-type")
        await page.messages()
        await page.wait_for_text("Allow", ".assistant button:disabled")


@every_version
async def test_client_tool_is_executed_once(
    system: System, browser: Browser, chat_pages: str, name: str, version: Version
) -> None:
    script = [call("getLocation", {"exact": True}), [{"text": ["In Lisbon"]}]]
    await system.upstream.script(name, script)
    async with open_documented_window(
        browser, chat_pages, version, api=system.chat, chat=name, component="LocationChat"
    ) as page:
        await page.click("button", "Ask")
        await page.wait_for_text("In Lisbon", ".assistant")
        await page.wait_for_text("ready", "output")
    _, second = await system.upstream.requests(name)
    result = json.loads(second["body"]["messages"][-1]["content"])
    assert result == {"input": {"exact": True}, "calls": 1}


@every_version
async def test_resilient_fetch_continues_after_a_reset(
    system: System,
    browser: Browser,
    chat_pages: str,
    proxy: Proxy,
    name: str,
    version: Version,
) -> None:
    await system.upstream.script(name, PAUSED)
    api = f"{proxy.url}/chat"
    async with open_documented_window(
        browser, chat_pages, version, api=api, chat=name, component="ResilientChat"
    ) as page:
        await page.click("button", "Ask")
        await page.wait_for_text("Hel", ".assistant")
        proxy.reset_connections()
        await system.upstream.release(name)
        await page.wait_for_text("ready", "output")
        texts = await page.evaluate(
            "[...document.querySelectorAll('p')].map(text => text.innerText)"
        )
    assert texts == ["Where am I?", "Hello"]


async def test_requests_of_the_page_stop_and_delete_a_chat(
    system: System, browser: Browser, chat_pages: str, name: str
) -> None:
    stop, delete = (block for block in blocks("chat", "js") if block.startswith("await fetch"))
    variables = (
        f"const api = {json.dumps(system.chat)}, chatId = {json.dumps(name)}, headers = {{}}"
    )
    await system.upstream.script(name, PAUSED)
    async with open_documented_window(browser, chat_pages, "7", api=system.chat, chat=name) as page:
        await page.send("Hi")
        await page.wait_for_text("Hel", ".assistant")
        await page.evaluate(f"(async () => {{ {variables}; {stop} }})()")
        assert await page.messages() == [["user", "Hi"], ["assistant", "Hel"]]
        assert (await read_stored_message(f"{system.chat}/{name}/message"))["role"] == "assistant"
        await page.evaluate(f"(async () => {{ {variables}; {delete} }})()")
    async with httpx.AsyncClient(timeout=60) as client:
        assert (await client.get(f"{system.chat}/{name}/message")).status_code == 404


async def test_cached_token_is_replaced_after_a_401(
    system: System, browser: Browser, chat_pages: str, name: str
) -> None:
    async with open_documented_window(browser, chat_pages, "7", api=system.chat, chat=name) as page:
        assert await page.evaluate(CACHED_TOKEN) == ["Bearer t1", "Bearer t1", "Bearer t2"]
