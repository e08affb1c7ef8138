"""The example `vite-react` in a browser, through the proxy of Vite's development server."""

import asyncio
import secrets
from collections.abc import AsyncGenerator

import pytest
import pytest_asyncio

from tests.examples.conftest import MODEL
from tests.support.ai_client.driver import Json
from tests.support.browser.page import Browser
from tests.support.chat_page.documented_window import DocumentedWindow, open_page
from tests.support.examples.documented_files import EXAMPLES
from tests.support.examples.example_app import ExampleServer, open_vite_example
from tests.support.system.running_system import System
from web.node import find_node

pytestmark = pytest.mark.asyncio(loop_scope="session")

PAUSED: list[list[Json]] = [[{"text": ["Hel"]}, {"wait": True}, {"text": ["lo"]}]]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def app(system: System) -> AsyncGenerator[ExampleServer]:
    async with open_vite_example("vite-react", system.apis[0].url) as server:
        yield server


@pytest_asyncio.fixture(loop_scope="session")
async def page(app: ExampleServer, browser: Browser) -> AsyncGenerator[DocumentedWindow]:
    """The page with a new chat."""
    async with open_page(browser, f"{app.url}/#{secrets.token_hex(8)}") as page:
        yield page


async def test_reloaded_page_continues_the_answer(system: System, page: DocumentedWindow) -> None:
    await system.upstream.script(MODEL, PAUSED)
    await page.send("Hi")
    await page.wait_for_text("Hel", ".assistant")
    await page.open()
    await page.wait_for_text("Hel", ".assistant")
    await system.upstream.release(MODEL)
    await page.wait_for_text("Hello", ".assistant")
    assert await page.messages() == [["user", "Hi"], ["assistant", "Hello"]]


async def test_stop_keeps_the_text_over_a_reload(system: System, page: DocumentedWindow) -> None:
    await system.upstream.script(MODEL, PAUSED)
    await page.send("Hi")
    await page.wait_for_text("Hel", ".assistant")
    await page.click("button", "Stop")
    await system.upstream.until(MODEL, lambda got: got[-1]["outcome"] == "client-closed")
    await page.open()
    await page.wait_for_text("Hel", ".assistant")
    assert await page.messages() == [["user", "Hi"], ["assistant", "Hel"]]


@pytest.mark.usefixtures("app")
async def test_production_build_succeeds() -> None:
    await asyncio.to_thread(find_node().run, EXAMPLES / "vite-react", "build")
    assert (EXAMPLES / "vite-react" / "dist" / "index.html").exists()
