"""Real pages that are frozen, or offline for minutes, while their answers are written."""

from contextlib import AsyncExitStack

import pytest

from tests.support.ai_client.driver import VERSIONS, Json, Version
from tests.support.browser.page import Browser
from tests.support.chat_page.chat_window import ChatWindow, check_whole, open_chat_window
from tests.support.fakes.proxy import Proxy
from tests.support.system.running_system import System

pytestmark = pytest.mark.asyncio(loop_scope="session")
every_version = pytest.mark.parametrize("version", VERSIONS)

WORDS = 90
END = " The end."
ANSWER = " ".join(f"w{n}" for n in range(WORDS)) + END
#: Milliseconds. Without the event of the browser, the page would not try again before this time.
MAX_DELAY = 120_000


async def _script(system: System, model: str, seconds: float) -> None:
    """The answer does not end before the page is away, although the page may be slow."""
    words: Json = {"words": WORDS, "delay": seconds / WORDS}
    await system.upstream.script(model, [[words, {"wait": True}, {"text": [END]}]])


async def _finish(system: System, model: str, timeout: float = 120) -> None:
    """Wait until the model has sent the whole answer."""
    await system.upstream.release(model)
    await system.upstream.until(model, lambda got: got[0]["outcome"] == "finished", timeout)


@every_version
async def test_page_continues_after_45_seconds_without_a_network(
    system: System,
    browser: Browser,
    chat_pages: str,
    proxy: Proxy,
    name: str,
    version: Version,
) -> None:
    await _script(system, name, seconds=45)
    api = f"{proxy.url}/chat"
    async with open_chat_window(
        browser, chat_pages, version, api=api, chat=name, maxDelay=MAX_DELAY
    ) as page:
        await page.send("Hi", name)
        await _go_offline(page, proxy)
        await _finish(system, name)
        await _return(page, f"{system.chat}/{name}/message")
    assert len(await system.upstream.requests(name)) == 1


@pytest.mark.timeout(480)
async def test_pages_continue_after_five_minutes_without_a_network(
    system: System, browser: Browser, chat_pages: str, proxy: Proxy, name: str
) -> None:
    """A page of each version of the AI SDK at the same time."""
    names: dict[Version, str] = {version: f"{name}-{version}" for version in VERSIONS}
    api = f"{proxy.url}/chat"
    async with AsyncExitStack() as stack:
        pages: dict[str, ChatWindow] = {}
        for version, chat in names.items():
            await _script(system, chat, seconds=300)
            window = open_chat_window(
                browser, chat_pages, version, api=api, chat=chat, maxDelay=MAX_DELAY
            )
            pages[chat] = await stack.enter_async_context(window)
            await pages[chat].send("Hi", chat)
        for page in pages.values():
            await _go_offline(page, proxy)
        for chat in pages:
            await _finish(system, chat, timeout=360)
        for chat, page in pages.items():
            await _return(page, f"{system.chat}/{chat}/message")
    for chat in names.values():
        assert len(await system.upstream.requests(chat)) == 1


async def _go_offline(page: ChatWindow, proxy: Proxy) -> None:
    await page.until_text(2)
    await page.set_offline(offline=True)
    proxy.reset_connections()
    await page.until("page.transport.connection(page.chat.id).offline")


async def _return(page: ChatWindow, stored_url: str) -> None:
    """Check that the page then soon shows the whole answer once."""
    online_at = await page.now()
    await page.set_offline(offline=False)
    await check_whole(page, stored_url, ANSWER)
    await page.check_pause(online_at)


@every_version
@pytest.mark.parametrize("release_hidden", [True, False])
async def test_frozen_page_shows_the_whole_answer_when_it_returns(
    system: System,
    browser: Browser,
    chat_pages: str,
    proxy: Proxy,
    name: str,
    version: Version,
    *,
    release_hidden: bool,
) -> None:
    await _script(system, name, seconds=4)
    api = f"{proxy.url}/chat"
    async with open_chat_window(
        browser, chat_pages, version, api=api, chat=name, releaseHidden=release_hidden
    ) as page:
        await page.send("Hi", name)
        await page.until_text(10)
        await page.freeze()
        proxy.reset_connections()
        await _finish(system, name)
        unfrozen_at = await page.now()
        await page.unfreeze()
        await check_whole(page, f"{system.chat}/{name}/message", ANSWER)
        await page.check_pause(unfrozen_at)
    assert len(await system.upstream.requests(name)) == 1
