"""Real pages with React, each version of the AI SDK, and `MambaChatTransport`."""

import pytest

from tests.support.ai_client.driver import VERSIONS, Json, Version
from tests.support.ai_client.stored_message import read_stored_message
from tests.support.browser.page import Browser
from tests.support.chat_page.chat_window import check_whole, open_chat_window
from tests.support.fakes.proxy import Proxy
from tests.support.system.running_system import System

pytestmark = pytest.mark.asyncio(loop_scope="session")
every_version = pytest.mark.parametrize("version", VERSIONS)

WORDS = 80
END = " The end."
ANSWER = " ".join(f"w{n}" for n in range(WORDS)) + END
ENDLESS: list[list[Json]] = [[{"text": ["Hello"]}, {"wait": True}, {"text": ["!"]}]]


@pytest.fixture
async def model(system: System, name: str) -> str:
    """A model whose answer does not end before its release, so that a slow page misses nothing."""
    words: Json = {"words": WORDS, "delay": 0.04}
    await system.upstream.script(name, [[words, {"wait": True}, {"text": [END]}]])
    return name


@every_version
async def test_page_survives_resets(
    system: System,
    browser: Browser,
    chat_pages: str,
    proxy: Proxy,
    model: str,
    version: Version,
) -> None:
    api = f"{proxy.url}/chat"
    async with open_chat_window(browser, chat_pages, version, api=api, chat=model) as page:
        await page.send("Hi", model)
        resets: list[float] = []
        for characters in (10, 100):
            await page.until_text(characters)
            resets.append(await page.now())
            proxy.reset_connections()
        await system.upstream.release(model)
        await check_whole(page, f"{system.chat}/{model}/message", ANSWER)
        for reset in resets:
            await page.check_pause(reset)
    assert len(await system.upstream.requests(model)) == 1


@every_version
async def test_page_survives_a_half_open_connection(
    system: System,
    browser: Browser,
    chat_pages: str,
    proxy: Proxy,
    model: str,
    version: Version,
) -> None:
    api = f"{proxy.url}/chat"
    async with open_chat_window(
        browser, chat_pages, version, api=api, chat=model, maxSilence=1500
    ) as page:
        await page.send("Hi", model)
        await page.until_text(10)
        proxy.freeze_connections()
        await system.upstream.release(model)
        await check_whole(page, f"{system.chat}/{model}/message", ANSWER)
    assert len(await system.upstream.requests(model)) == 1


@every_version
async def test_return_of_the_network_replaces_a_half_open_connection(
    system: System,
    browser: Browser,
    chat_pages: str,
    proxy: Proxy,
    model: str,
    version: Version,
) -> None:
    """It does not wait for the limit of the silence, which is 45 seconds by default."""
    api = f"{proxy.url}/chat"
    async with open_chat_window(browser, chat_pages, version, api=api, chat=model) as page:
        await page.send("Hi", model)
        await page.until_text(10)
        proxy.freeze_connections()
        await system.upstream.release(model)
        await system.upstream.until(model, lambda got: got[0]["outcome"] == "finished")
        returned_at = await page.now()
        await page.evaluate("window.dispatchEvent(new Event('online'))")
        await check_whole(page, f"{system.chat}/{model}/message", ANSWER)
        await page.check_pause(returned_at)
    assert len(await system.upstream.requests(model)) == 1


@every_version
async def test_reloaded_page_continues_the_run(
    system: System, browser: Browser, chat_pages: str, model: str, version: Version
) -> None:
    """React's strict mode mounts the component twice, and aborts the first resume."""
    async with open_chat_window(browser, chat_pages, version, api=system.chat, chat=model) as page:
        await page.send("Hi", model)
        await page.until_text(10)
        await page.reload()
        await page.until_text(10)
        await system.upstream.release(model)
        message = await page.answer()
    assert [part["text"] for part in message["parts"] if part["type"] == "text"] == [ANSWER]


@every_version
async def test_stop_of_the_page_stops_the_model(
    system: System, browser: Browser, chat_pages: str, name: str, version: Version
) -> None:
    await system.upstream.script(name, ENDLESS)
    async with open_chat_window(browser, chat_pages, version, api=system.chat, chat=name) as page:
        await page.send("Hi", name)
        await page.until_text(5)
        await page.evaluate("void page.chat.stop()")
        await system.upstream.until(name, lambda got: got[0]["outcome"] == "client-closed")
        assert (await page.answer())["parts"][-1]["text"] == "Hello"
    stored = await read_stored_message(f"{system.chat}/{name}/message")
    assert stored["metadata"]["mamba"]["stopped"] is True


@every_version
async def test_released_run_continues_after_an_unmount(
    system: System, browser: Browser, chat_pages: str, model: str, version: Version
) -> None:
    async with open_chat_window(
        browser, chat_pages, version, api=system.chat, chat=model, release=True
    ) as page:
        await page.send("Hi", model)
        await page.until_text(10)
        await page.evaluate("page.unmount()")
        await system.upstream.release(model)
        stored = await read_stored_message(f"{system.chat}/{model}/message")
    assert stored["metadata"]["mamba"]["stopped"] is False
