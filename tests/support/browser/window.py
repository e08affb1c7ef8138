"""A page in a real browser that a test looks at, clicks and types into, as its user would."""

import base64
import json
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from tests.support.browser.page import Browser

_SECONDS = 30
_DOMAINS = ("Page", "Runtime", "Log", "Network", "Audits")


class Window:
    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._session = browser.new_page()
        for domain in _DOMAINS:
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: object) -> dict[str, Any]:
        return self._browser.call(method, self._session, **params)

    def close(self) -> None:
        self._browser.close(self._session)

    def resize(self, width: int, height: int, *, phone: bool = False) -> None:
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": phone}
        self.call("Emulation.setDeviceMetricsOverride", **metrics)

    def set_color_scheme(self, scheme: str) -> None:
        """`light` or `dark`, as a system that prefers it."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", features=features)

    def visit(self, url: str) -> None:
        self.call("Page.navigate", url=url)

    def evaluate(self, expression: str) -> Any:
        """What a JavaScript expression is worth, as JSON; of a promise what it comes to."""
        return self._browser.evaluate(self._session, expression)

    def wait_until(self, expression: str) -> Any:
        """The same, as soon as it is true."""
        deadline = time.monotonic() + _SECONDS
        while time.monotonic() < deadline:
            if value := self.evaluate(expression):
                return value
            time.sleep(0.05)
        raise AssertionError(f"never true: {expression}\n{self.text()[:4000]}")

    def text(self, selector: str = "body") -> str:
        """What an element shows; nothing if there is none."""
        return self.evaluate(f"document.querySelector({json.dumps(selector)})?.innerText") or ""

    def wait_for_text(self, words: str, selector: str = "body") -> None:
        """Wait until an element shows these words."""
        held = f"(document.querySelector({json.dumps(selector)})?.innerText ?? '')"
        self.wait_until(f"{held}.includes({json.dumps(words)})")

    def click(self, selector: str, words: str = "") -> None:
        """Click the middle of the first element that fits, and holds these words."""
        found = (
            f"[...document.querySelectorAll({json.dumps(selector)})]"
            f".find(one => one.innerText.includes({json.dumps(words)}))"
        )
        place = self.wait_until(
            f"(() => {{ const one = {found}; if (!one) return null;"
            " one.scrollIntoView({block: 'center'}); const box = one.getBoundingClientRect();"
            " return box.width ? [box.x + box.width / 2, box.y + box.height / 2] : null; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            where = {"x": place[0], "y": place[1], "button": "left", "clickCount": 1}
            self.call("Input.dispatchMouseEvent", type=kind, **where)

    def type(self, words: str) -> None:
        """Into what has the focus."""
        self.call("Input.insertText", text=words)

    def press(self, key: str) -> None:
        """Escape, Enter or Tab."""
        code = {"Escape": 27, "Enter": 13, "Tab": 9}[key]
        text = {"text": "\r"} if key == "Enter" else {}
        for kind, said in (("keyDown", text), ("keyUp", {})):
            named = {"key": key, "code": key, "windowsVirtualKeyCode": code}
            self.call("Input.dispatchKeyEvent", type=kind, **named, **said)

    def screenshot(self) -> bytes:
        """What is seen, as WebP."""
        taken = self.call("Page.captureScreenshot", format="webp", quality=85)
        return base64.b64decode(taken["data"])

    def events(self, method: str) -> list[dict[str, Any]]:
        """The parameters of each event of that name so far."""
        self.evaluate("0")  # what was said meanwhile is read with its reply
        return [
            event["params"]
            for event in self._browser.events
            if event.get("method") == method and event.get("sessionId") == self._session
        ]

    def errors(self) -> list[str]:
        """What the browser holds against the page: errors, and what its policy has blocked."""
        logged = [entry["entry"] for entry in self.events("Log.entryAdded")]
        return [
            *(entry["text"] for entry in logged if entry["level"] == "error"),
            *(str(call["args"]) for call in self.events("Runtime.consoleAPICalled")),
            *(str(thrown["exceptionDetails"]) for thrown in self.events("Runtime.exceptionThrown")),
            *(str(issue["issue"]) for issue in self.events("Audits.issueAdded")),
        ]

    def requested_urls(self) -> set[str]:
        """The addresses that the page has asked for."""
        return {sent["request"]["url"] for sent in self.events("Network.requestWillBeSent")}


@contextmanager
def open_window(browser: Browser, width: int = 1440, height: int = 900) -> Generator[Window]:
    """It is closed behind: a browser has six connections to a server, and a console holds one."""
    window = Window(browser)
    window.resize(width, height)
    try:
        yield window
    finally:
        window.close()
