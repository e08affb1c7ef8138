"""`EventSource` and the documented `followChat` in a browser, at an API of another origin."""

import json

import pytest

from tests.support.ai_client.driver import VERSIONS, Json, Version
from tests.support.browser.page import Browser
from tests.support.chat_page.documented_window import open_documented_window
from tests.support.fakes.proxy import Proxy
from tests.support.sse_client import SseClient
from tests.support.system.running_system import System

pytestmark = pytest.mark.asyncio(loop_scope="session")
every_version = pytest.mark.parametrize("version", VERSIONS)

PAUSED: list[list[Json]] = [[{"text": ["Hel"]}, {"wait": True}, {"text": ["lo"]}]]
#: Follows the stream of a run, and keeps what the browser receives.
FOLLOW = """
(async () => {{
  const response = await fetch(`${{{url}}}/stream-token`, {{ method: 'POST' }});
  const {{ token }} = await response.json();
  const source = new EventSource(`${{{url}}}/stream?token=${{token}}`);
  window.received = [];
  window.source = source;
  source.onmessage = ({{ lastEventId, data }}) => {{
    received.push([lastEventId, data]);
    if (data === '[DONE]') source.close();
  }};
}})()
"""
#: Follows a chat without waiting between the attempts, and keeps the delays.
RETRY = """
(() => {{
  window.delays = [];
  const wait = setTimeout;
  window.setTimeout = (callback, delay) => {{
    if (delays.push(delay) < 8) wait(callback, 0);
  }};
  const onRefused = (status) => (window.refused = status);
  followChat({api}, 'chat', async () => ({{}}), () => {{}}, onRefused);
}})()
"""


async def test_event_source_continues_after_a_reset(
    system: System, browser: Browser, chat_pages: str, proxy: Proxy, sse: SseClient, name: str
) -> None:
    await system.upstream.script(name, PAUSED)
    async with (
        open_documented_window(browser, chat_pages, "7", api=system.chat, chat=name) as page,
        sse.ask(system.chat, name, model=name) as answer,
    ):
        events = await answer.until("text-delta")
        await page.evaluate(FOLLOW.format(url=json.dumps(f"{proxy.url}/chat/{name}")))
        await page.wait_until(f"window.received?.length >= {len(events)}")
        proxy.reset_connections()
        await proxy.has_accepted(2)
        await system.upstream.release(name)
        events += await answer.rest()
        await page.wait_until("source.readyState === EventSource.CLOSED")
        received = await page.evaluate("received")
    assert [data for _, data in received] == [event.data for event in events]
    ids = [event.id for event in events if event.id]
    assert [received_id for received_id, _ in received[: len(ids)]] == ids


async def test_event_source_reports_an_expired_token(
    system: System, browser: Browser, chat_pages: str, proxy: Proxy, sse: SseClient, name: str
) -> None:
    await system.upstream.script(name, PAUSED)
    async with (
        open_documented_window(browser, chat_pages, "7", api=system.chat, chat=name) as page,
        sse.ask(system.chat, name, model=name) as answer,
    ):
        await answer.until("text-delta")
        await page.evaluate(FOLLOW.format(url=json.dumps(f"{proxy.url}/chat/{name}")))
        await page.wait_until("window.received?.length > 0")
        await _expire_tokens(system)
        proxy.reset_connections()
        await page.wait_until("source.readyState === EventSource.CLOSED")
        await system.upstream.release(name)
        await answer.rest()
        received = await page.evaluate("received")
    assert "[DONE]" not in [data for _, data in received]


@every_version
async def test_other_tab_shows_each_message_once(
    system: System,
    browser: Browser,
    chat_pages: str,
    proxy: Proxy,
    name: str,
    version: Version,
) -> None:
    """The other tab follows the chat through a reset connection and an expired token."""
    await system.upstream.script(name, [[{"text": ["Hello"]}]])
    other_api = f"{proxy.url}/chat"
    async with (
        open_documented_window(browser, chat_pages, version, api=system.chat, chat=name) as page,
        open_documented_window(
            browser, chat_pages, version, api=other_api, chat=name, component="OtherTab"
        ) as other,
    ):
        await page.send("Hi")
        await page.wait_for_text("Hello", ".assistant")
        await other.open()
        await other.wait_for_text("Hello", ".assistant")
        await other.wait_until("window.source?.readyState === EventSource.OPEN")
        await other.evaluate("source.isOld = true")
        await _expire_tokens(system)
        proxy.reset_connections()
        await other.wait_until("!source.isOld && source.readyState === EventSource.OPEN")
        await system.upstream.script(name, PAUSED)
        await page.messages()
        await page.send("And now?")
        await other.wait_for_text("And now?", ".user:nth-of-type(3)")
        await other.wait_for_text("Hel", ".assistant:nth-of-type(4)")
        await system.upstream.release(name)
        await other.wait_for_text("tokens", ".assistant:nth-of-type(4)")
        shown = await page.messages()
        texts = await other.evaluate(
            "[...document.querySelectorAll('article')].map(m => m.querySelector('p').innerText)"
        )
    assert texts == [text for _, text in shown] == ["Hi", "Hello", "And now?", "Hello"]


async def test_follow_chat_retries_with_growing_delays(
    browser: Browser, chat_pages: str, system: System
) -> None:
    async with open_documented_window(
        browser, chat_pages, "7", api=system.chat, chat="chat"
    ) as page:
        await page.evaluate(RETRY.format(api="'http://127.0.0.1:1'"))
        await page.wait_until("delays.length === 8")
        delays = await page.evaluate("delays")
    longest = [min(30_000, 1000 * 2**n) for n in range(8)]
    assert all(most / 2 <= delay <= most for delay, most in zip(delays, longest, strict=True))


async def test_follow_chat_ends_when_the_chat_has_no_run(
    browser: Browser, chat_pages: str, system: System, name: str
) -> None:
    async with open_documented_window(browser, chat_pages, "7", api=system.chat, chat=name) as page:
        await page.evaluate(RETRY.format(api=json.dumps(f"{system.chat}/{name}")))
        await page.wait_until("window.refused === 404")
        assert await page.evaluate("delays") == []


async def _expire_tokens(system: System) -> None:
    async with system.redis() as redis:
        for key in await redis.execute_command("KEYS", "mamba:stream-token:*"):
            await redis.execute_command("DEL", key)
