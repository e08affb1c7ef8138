"""Controls a headless browser through the Chrome DevTools Protocol."""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from tests.support.browser.chromium import find_chromium

_SECONDS = 60
#: Replaces itself with the browser, which expects the protocol's pipes as descriptors 3 and 4.
_EXEC = """
import os, sys
reading, writing = (os.dup(int(pipe)) for pipe in sys.argv[1:3])
while min(reading, writing) < 5:
    reading, writing = os.dup(reading), os.dup(writing)
os.dup2(reading, 3)
os.dup2(writing, 4)
os.execvp(sys.argv[3], sys.argv[3:])
"""
_DOCUMENT = "document.documentElement.outerHTML"


def rendered_document(url: str, *marks: str) -> str:
    """Return the page's HTML as soon as it contains all marks, or after a minute."""
    with open_browser() as browser:
        page = browser.open(url)
        deadline = time.monotonic() + _SECONDS
        document = ""
        while time.monotonic() < deadline:
            document = browser.evaluate(page, _DOCUMENT) or ""
            if all(mark in document for mark in marks):
                break
            time.sleep(0.05)
        return document


def loaded_urls(document: str) -> set[str]:
    """Return the URLs of the scripts, style sheets and images that a document loads."""
    pattern = r"<(?:script|link|img|iframe)\b[^>]*?\b(?:src|href)=\"([^\"]+)\""
    return set(re.findall(pattern, document))


class Browser:
    """Exchanges messages over a pair of pipes: JSON objects, each terminated by NUL."""

    def __init__(self, requests: int, replies: int) -> None:
        self._requests = requests
        self._replies = replies
        self._count = 0
        self._read = b""
        #: Events of the enabled protocol domains.
        self.events: list[dict[str, Any]] = []

    def open(self, url: str) -> str:
        """Navigate a new page to the URL, and return its session id."""
        page = self.new_page()
        self.call("Page.navigate", page, url=url)
        return page

    def new_page(self) -> str:
        """Open an empty page, and return its session id."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        session: str = attached["sessionId"]
        return session

    def close(self, page: str) -> None:
        """Close a page and its connections."""
        self.call("Page.close", page)

    def evaluate(self, page: str, expression: str) -> Any:
        """Return the value of a JavaScript expression, or None while the page has no document."""
        reply = self.call(
            "Runtime.evaluate", page, expression=expression, returnByValue=True, awaitPromise=True
        )
        return reply.get("result", {}).get("value")

    def call(self, method: str, session: str | None = None, **params: object) -> dict[str, Any]:
        """Send a command, and return its result."""
        self._count += 1
        message: dict[str, object] = {"id": self._count, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        os.write(self._requests, json.dumps(message).encode() + b"\0")
        while (reply := self._next()).get("id") != self._count:
            self.events.append(reply)
        return reply.get("result", {})

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._read:
            chunk = os.read(self._replies, 65_536)
            if not chunk:
                raise RuntimeError("The browser has exited.")
            self._read += chunk
        message, _, self._read = self._read.partition(b"\0")
        return json.loads(message)


@contextmanager
def open_browser(*flags: str) -> Generator[Browser]:
    chromium = find_chromium()
    browser_input, request_pipe = os.pipe()
    reply_pipe, browser_output = os.pipe()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [
            *(sys.executable, "-c", _EXEC, str(browser_input), str(browser_output)),
            *(chromium.path, "--headless", "--no-sandbox", "--disable-gpu"),
            *("--disable-dev-shm-usage", f"--user-data-dir={profile}", "--remote-debugging-pipe"),
            "--accept-lang=en-US",  # without a system locale, the browser uses an invalid language
            # Resolve no other host, so that a page cannot load files from the internet.
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
            *flags,
        ]
        process = subprocess.Popen(
            command,
            env=os.environ | chromium.environment,
            pass_fds=(browser_input, browser_output),
            stderr=subprocess.DEVNULL,
        )
        os.close(browser_input)
        os.close(browser_output)
        try:
            yield Browser(request_pipe, reply_pipe)
        finally:
            process.kill()
            process.wait()
            os.close(request_pipe)
            os.close(reply_pipe)
