"""A real browser without a window: opens a page, lets its scripts run, and tells what it shows."""

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

_SECONDS = 30
#: Becomes the browser, which has the protocol's pipes as its descriptors 3 and 4.
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
    """The page's document, as soon as all the marks are in it; as it is then, if they never are."""
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
    """What a document loads: its scripts, style sheets and pictures."""
    loading = r"<(?:script|link|img|iframe)\b[^>]*?\b(?:src|href)=\"([^\"]+)\""
    return set(re.findall(loading, document))


class Browser:
    """Speaks the Chrome DevTools Protocol over a pair of pipes: JSON, each message ended by NUL."""

    def __init__(self, requests: int, replies: int) -> None:
        self._requests = requests
        self._replies = replies
        self._count = 0
        self._read = b""
        #: What the pages have said unasked, where a domain of the protocol is enabled.
        self.events: list[dict[str, Any]] = []

    def open(self, url: str) -> str:
        """The session of a new page that is on its way to the URL."""
        page = self.new_page()
        self.call("Page.navigate", page, url=url)
        return page

    def new_page(self) -> str:
        """The session of an empty page."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        session: str = attached["sessionId"]
        return session

    def close(self, page: str) -> None:
        """Close a page; its connections end with it."""
        self.call("Page.close", page)

    def evaluate(self, page: str, expression: str) -> Any:
        """None while the page has nothing to say, as between two documents."""
        reply = self.call(
            "Runtime.evaluate", page, expression=expression, returnByValue=True, awaitPromise=True
        )
        return reply.get("result", {}).get("value")

    def call(self, method: str, session: str | None = None, **params: object) -> dict[str, Any]:
        """A command's result."""
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
            more = os.read(self._replies, 65_536)
            if not more:
                raise RuntimeError("the browser has ended")
            self._read += more
        message, _, self._read = self._read.partition(b"\0")
        return json.loads(message)


@contextmanager
def open_browser() -> Generator[Browser]:
    chromium = find_chromium()
    theirs_in, ours_out = os.pipe()
    ours_in, theirs_out = os.pipe()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [
            *(sys.executable, "-c", _EXEC, str(theirs_in), str(theirs_out)),
            *(chromium.path, "--headless", "--no-sandbox", "--disable-gpu"),
            *("--disable-dev-shm-usage", f"--user-data-dir={profile}", "--remote-debugging-pipe"),
            "--accept-lang=en-US",  # a machine without a locale makes one that no page knows
            # Every name but this machine's is unknown: what a page loads from elsewhere is missing.
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        ]
        process = subprocess.Popen(
            command,
            env=os.environ | chromium.environment,
            pass_fds=(theirs_in, theirs_out),
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        try:
            yield Browser(ours_out, ours_in)
        finally:
            process.kill()
            process.wait()
            os.close(ours_out)
            os.close(ours_in)
