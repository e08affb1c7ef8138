"""A page with the chat of the documentation, which a test uses like a user."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Literal
from urllib.parse import quote

from tests.support.ai_client.driver import Json, Version
from tests.support.browser.page import Browser
from tests.support.browser.window import Window

#: The component that a page shows; see `documented.tsx`.
Component = Literal["Chat", "OtherTab", "LocationChat", "ResilientChat"]

_MESSAGES = "[...document.querySelectorAll('article.user, article.assistant')]"
#: The style sheets are loaded, so elements no longer move, and React handles events.
_READY = (
    "document.readyState === 'complete' &&"
    " Object.keys(document.querySelector('main') ?? {}).some(key => key.startsWith('__reactProps'))"
)
_SELECT_FILE = """
(() => {{
  const files = new DataTransfer();
  files.items.add(new File([{content}], {name}, {{ type: 'text/plain' }}));
  const input = document.querySelector('input[type=file]');
  input.files = files.files;
  input.dispatchEvent(new Event('change', {{ bubbles: true }}));
}})()
"""


class DocumentedWindow:
    """The methods run in a thread, so that the test's event loop serves the page meanwhile."""

    def __init__(self, window: Window, address: str) -> None:
        self._window = window
        self._address = address

    async def open(self) -> None:
        """Load the page, or load it again."""
        await asyncio.to_thread(self._window.visit, "about:blank")
        await asyncio.to_thread(self._window.visit, self._address)
        await self.wait_until(_READY)

    async def wait_until(self, condition: str) -> None:
        await asyncio.to_thread(self._window.wait_until, condition)

    async def wait_for_text(self, text: str, selector: str = "body") -> None:
        await asyncio.to_thread(self._window.wait_for_text, text, selector)

    async def evaluate(self, expression: str) -> Any:
        return await asyncio.to_thread(self._window.evaluate, expression)

    async def click(self, selector: str, text: str = "") -> None:
        await asyncio.to_thread(self._window.click, selector, text)

    async def select_file(self, name: str, content: str) -> None:
        script = _SELECT_FILE.format(name=json.dumps(name), content=json.dumps(content))
        await self.evaluate(script)

    async def send(self, text: str) -> None:
        await self.click("main > form input")
        await asyncio.to_thread(self._window.type, text)
        await self.click("button", "Send")

    async def messages(self) -> list[list[str]]:
        """Return the author and the text of each message, after the end of the answer."""
        await self.wait_for_text("Send", "main > form button")
        described = f"{_MESSAGES}.map(message => [message.className, message.innerText])"
        return await self.evaluate(described)

    async def screenshot(self) -> bytes:
        return await asyncio.to_thread(self._window.screenshot)


@asynccontextmanager
async def open_documented_window(
    browser: Browser,
    pages_url: str,
    version: Version,
    *,
    api: str,
    chat: str,
    component: Component = "Chat",
    **fields: object,
) -> AsyncGenerator[DocumentedWindow]:
    """Open a page of the tests. Its requests to send a message have these fields."""
    fields = {"model": chat, **fields}
    options: Json = {"api": api, "chatId": chat, "fields": fields, "component": component}
    address = f"{pages_url}/{version}-documented.html#{quote(json.dumps(options))}"
    async with open_page(browser, address) as page:
        yield page


@asynccontextmanager
async def open_page(browser: Browser, address: str) -> AsyncGenerator[DocumentedWindow]:
    """Open a page that contains the documented chat."""
    window = await asyncio.to_thread(Window, browser)
    try:
        page = DocumentedWindow(window, address)
        await page.open()
        yield page
    finally:
        await asyncio.to_thread(window.close)
