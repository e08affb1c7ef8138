"""The example `assistant-ui` in a browser, through the proxy of Vite's development server."""

import asyncio
from collections.abc import AsyncGenerator

import pytest
import pytest_asyncio

from tests.examples.conftest import MODEL
from tests.support.ai_client.driver import Json
from tests.support.browser.page import Browser
from tests.support.browser.window import Window
from tests.support.examples.documented_files import EXAMPLES
from tests.support.examples.example_app import ExampleServer, open_vite_example
from tests.support.system.running_system import System
from web.node import find_node

pytestmark = pytest.mark.asyncio(loop_scope="session")

PAUSED: list[list[Json]] = [[{"text": ["Hel"]}, {"wait": True}, {"text": ["lo"]}]]
MESSAGES = "[...document.querySelectorAll('.message')].map(message => message.innerText.trim())"


class AssistantPage:
    """The methods run in a thread, so that the test's event loop serves the page meanwhile."""

    def __init__(self, window: Window, address: str) -> None:
        self._window = window
        self._address = address

    async def open(self) -> None:
        """Load the page, or load it again."""
        await asyncio.to_thread(self._window.visit, "about:blank")
        await asyncio.to_thread(self._window.visit, self._address)
        await self.wait_for("document.querySelector('textarea') !== null")

    async def send(self, text: str) -> None:
        await asyncio.to_thread(self._window.click, "textarea")
        await asyncio.to_thread(self._window.type, text)
        await self.click("Send")

    async def click(self, button: str) -> None:
        await asyncio.to_thread(self._window.click, "button:not([disabled])", button)

    async def wait_for(self, condition: str) -> None:
        await asyncio.to_thread(self._window.wait_until, condition)

    async def wait_for_answer(self, text: str, button: str) -> None:
        """Wait until the page shows this answer, and this button."""
        await self.wait_for(f"{MESSAGES}.at(-1) === {text!r}")
        await asyncio.to_thread(self._window.wait_for_text, button, ".composer")

    async def messages(self) -> list[str]:
        return await asyncio.to_thread(self._window.evaluate, MESSAGES)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def app(system: System) -> AsyncGenerator[ExampleServer]:
    async with open_vite_example("assistant-ui", system.apis[0].url) as server:
        yield server


@pytest_asyncio.fixture(loop_scope="session")
async def page(
    app: ExampleServer, browser: Browser, request: pytest.FixtureRequest
) -> AsyncGenerator[AssistantPage]:
    window = await asyncio.to_thread(Window, browser)
    try:
        page = AssistantPage(window, f"{app.url}/#{request.node.name}")
        await page.open()
        yield page
    finally:
        await asyncio.to_thread(window.close)


async def test_answer_is_streamed(system: System, page: AssistantPage) -> None:
    await system.upstream.script(MODEL, PAUSED)

    await page.send("Hi")
    await page.wait_for_answer("Hel", "Stop")
    await system.upstream.release(MODEL)
    await page.wait_for_answer("Hello", "Send")

    assert await page.messages() == ["Hi", "Hello"]


async def test_reloaded_page_continues_the_answer(system: System, page: AssistantPage) -> None:
    await system.upstream.script(MODEL, PAUSED)

    await page.send("Hi")
    await page.wait_for_answer("Hel", "Stop")
    await page.open()
    await page.wait_for_answer("Hel", "Stop")
    await system.upstream.release(MODEL)
    await page.wait_for_answer("Hello", "Send")

    assert await page.messages() == ["Hi", "Hello"]


async def test_stop_keeps_the_text_over_a_reload(system: System, page: AssistantPage) -> None:
    await system.upstream.script(MODEL, PAUSED)

    await page.send("Hi")
    await page.wait_for_answer("Hel", "Stop")
    await page.click("Stop")
    await system.upstream.until(MODEL, lambda got: got[-1]["outcome"] == "client-closed")
    await page.wait_for_answer("Hel", "Send")
    await page.open()
    await page.wait_for_answer("Hel", "Send")

    assert await page.messages() == ["Hi", "Hel"]


async def test_failed_answer_shows_its_error(system: System, page: AssistantPage) -> None:
    await system.upstream.script(MODEL, PAUSED, [{"status": 401}])

    await page.send("Hi")

    await page.wait_for("document.querySelector('.assistant [role=alert]')?.innerText")


@pytest.mark.usefixtures("app")
async def test_production_build_succeeds() -> None:
    await asyncio.to_thread(find_node().run, EXAMPLES / "assistant-ui", "build")
    assert (EXAMPLES / "assistant-ui" / "dist" / "index.html").exists()
