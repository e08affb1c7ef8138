"""A real page with React and `useChat`, driven from a test."""

import asyncio
import json
import sys
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, ParamSpec, TypeVar
from urllib.parse import quote

from tests.support.ai_client.driver import VERSIONS, Json, Version
from tests.support.ai_client.stored_message import read_stored_message
from tests.support.browser.page import Browser
from tests.support.browser.window import Window
from tests.support.chat_page.documented_code import package_paths, write_project
from tests.support.processes import ServerProcess, free_port
from tests.support.wait import until
from web.client import CLIENT_BUILD_DIR, build_client
from web.node import find_node

FOLDER = Path(__file__).parent
BUSY = "['submitted', 'streaming'].includes(page.chat.status)"
#: The server has responded that the chat has no run. An earlier message would also be resumed.
_RESUMED = (
    "performance.getEntriesByType('resource').some(({ name, responseStatus }) =>"
    " name.endsWith('/stream') && responseStatus === 204)"
)
#: A page that uses a new connection at once shows text within this time, also on a busy machine.
#: A page that waits until the connection has been silent for too long needs 45 seconds.
_MAX_PAUSE_MS = 10_000
_P = ParamSpec("_P")
_T = TypeVar("_T")


@contextmanager
def page_server(folder: Path) -> Generator[str]:
    """Bundle the pages into the folder, serve them, and yield the URL.

    Each version of the AI SDK has the page `{version}.html` with the chat of the tests, and
    `{version}-documented.html` with that of the documentation.
    """
    find_node().install(FOLDER)
    build_client()
    for version in VERSIONS:
        project = folder / f"project-{version}"
        project.mkdir()
        write_project(project, version)
        _bundle(folder, project / "app.tsx", version, version)
        _bundle(folder, project / "documented.tsx", f"{version}-documented", version)
    server = ChatPageServer(folder).start()
    try:
        asyncio.run(server.ready())
        yield server.url
    finally:
        asyncio.run(server.stop())


def _bundle(folder: Path, module: Path, name: str, version: Version) -> None:
    client = {"@mamba-server/client": CLIENT_BUILD_DIR / "index.js"}
    aliases = {package: str(path) for package, path in (package_paths(version) | client).items()}
    find_node().run(FOLDER, "build", str(folder), str(module), name, json.dumps(aliases))


class ChatPageServer(ServerProcess):
    def __init__(self, folder: Path) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        options = ("--bind", "127.0.0.1", "--directory", str(folder))
        super().__init__(sys.executable, "-m", "http.server", str(port), *options)

    async def ready(self) -> None:
        async def probe() -> bool:
            assert self.child.poll() is None, self.output
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", int(self.url[-5:]))
            except OSError:
                return False
            writer.close()
            return True

        await until(probe)


class ChatWindow:
    """The methods run in a thread, so that the test's event loop serves the page meanwhile."""

    def __init__(self, window: Window, address: str) -> None:
        self.window = window
        self._address = address

    async def open(self) -> None:
        """Load the page of a new chat."""
        await self.reload()
        await self.until(_RESUMED)

    async def reload(self) -> None:
        await _run(self.window.visit, "about:blank")
        await _run(self.window.visit, self._address)
        await self.until("window.page?.chat")

    async def until(self, condition: str) -> Any:
        return await _run(self.window.wait_until, condition)

    async def evaluate(self, expression: str) -> Any:
        return await _run(self.window.evaluate, expression)

    async def send(self, text: str, model: str) -> None:
        options = json.dumps({"body": {"model": model}})
        await self.evaluate(f"void page.chat.sendMessage({json.dumps({'text': text})}, {options})")

    async def until_text(self, characters: int) -> None:
        """Wait until the answer has this many characters."""
        await self.until(f"(page.growth.at(-1)?.[1] ?? 0) >= {characters}")

    async def answer(self) -> Json:
        """Wait for the end of the answer, and return its message."""
        await self.until(f"page.chat.messages.at(-1)?.role === 'assistant' && !{BUSY}")
        assert await self.evaluate("page.chat.error?.message ?? null") is None
        return await self.evaluate("page.chat.messages.at(-1)")

    async def check_pause(self, since: float) -> None:
        """Check that the text grew soon after `since`. It must have grown after that."""
        growth: list[list[float]] = await self.evaluate("page.growth")
        pause = min(time for time, _ in growth if time > since) - since
        assert pause < _MAX_PAUSE_MS

    async def now(self) -> float:
        return await self.evaluate("performance.now()")

    async def set_offline(self, *, offline: bool) -> None:
        network = {"offline": offline, "latency": 0, "downloadThroughput": -1}
        await self.call("Network.emulateNetworkConditions", **network, uploadThroughput=-1)
        await self.until(f"navigator.onLine === {json.dumps(not offline)}")

    async def freeze(self) -> None:
        """Hide the page and stop its timers and tasks."""
        await _run(self.window.set_always_visible, always_visible=False)
        await self.call("Page.setWebLifecycleState", state="frozen")

    async def unfreeze(self) -> None:
        """Continue the page and show it."""
        await self.call("Page.setWebLifecycleState", state="active")
        await _run(self.window.set_always_visible, always_visible=True)
        await self.until("document.visibilityState === 'visible'")

    async def call(self, method: str, **params: object) -> None:
        await _run(self.window.call, method, **params)


@asynccontextmanager
async def open_chat_window(
    browser: Browser,
    pages_url: str,
    version: Version,
    *,
    api: str,
    chat: str,
    release: bool = False,
    **transport: object,
) -> AsyncGenerator[ChatWindow]:
    """Open a page that uses the version of the SDK and `MambaChatTransport`."""
    options = {"chatId": chat, "release": release, "transport": {"api": api, **transport}}
    address = f"{pages_url}/{version}.html#{quote(json.dumps(options))}"
    window = await _run(Window, browser)
    try:
        page = ChatWindow(window, address)
        await page.open()
        yield page
    finally:
        await _run(window.close)


async def check_whole(page: ChatWindow, stored_url: str, text: str) -> None:
    """Check that the page shows the message that the server has stored, once."""
    shown = await page.answer()
    assert await read_stored_message(stored_url) == shown
    assert [part["text"] for part in shown["parts"] if part["type"] == "text"] == [text]
    assert await page.evaluate("page.chat.messages.length") == 2


async def _run(function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    return await asyncio.to_thread(function, *args, **kwargs)
