"""A browser page that a test reads, clicks and types into like a user."""

import base64
import json
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from tests.support.browser.page import Browser

_SECONDS = 60
_DOMAINS = ("Page", "Runtime", "Log", "Network", "Audits")


class Window:
    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._session = browser.new_page()
        for domain in _DOMAINS:
            self.call(f"{domain}.enable")
        self.set_always_visible(always_visible=True)
        self.set_color_scheme("")

    def call(self, method: str, **params: object) -> dict[str, Any]:
        return self._browser.call(method, self._session, **params)

    def close(self) -> None:
        self._browser.close(self._session)

    def set_always_visible(self, *, always_visible: bool) -> None:
        """Set whether the page is visible and focused also when another one is in front of it."""
        self.call("Emulation.setFocusEmulationEnabled", enabled=always_visible)

    def resize(self, width: int, height: int, *, phone: bool = False) -> None:
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": phone}
        self.call("Emulation.setDeviceMetricsOverride", **metrics)

    def set_color_scheme(self, scheme: str) -> None:
        """Emulate a system that prefers the `light` or `dark` scheme, or none.

        It also prefers no animations: an element that moves can be missed by a click.
        """
        preferences = {"prefers-color-scheme": scheme, "prefers-reduced-motion": "reduce"}
        features = [{"name": name, "value": value} for name, value in preferences.items()]
        self.call("Emulation.setEmulatedMedia", features=features)

    def visit(self, url: str) -> None:
        self.call("Page.navigate", url=url)

    def evaluate(self, expression: str) -> Any:
        """Return the JSON value of a JavaScript expression. A promise is awaited."""
        return self._browser.evaluate(self._session, expression)

    def wait_until(self, expression: str) -> Any:
        """Return the value of an expression as soon as it is truthy."""
        deadline = time.monotonic() + _SECONDS
        while time.monotonic() < deadline:
            if value := self.evaluate(expression):
                return value
            time.sleep(0.05)
        raise AssertionError(f"Never true: {expression}\n{self.text()[:4000]}")

    def text(self, selector: str = "body") -> str:
        """Return the visible text of an element, or an empty string if it does not exist."""
        return self.evaluate(f"document.querySelector({json.dumps(selector)})?.innerText") or ""

    def wait_for_text(self, text: str, selector: str = "body") -> None:
        """Wait until an element contains this text."""
        actual = f"(document.querySelector({json.dumps(selector)})?.innerText ?? '')"
        self.wait_until(f"{actual}.includes({json.dumps(text)})")

    def click(self, selector: str, text: str = "") -> None:
        """Click the center of the first matching element that contains this text."""
        match = (
            f"[...document.querySelectorAll({json.dumps(selector)})]"
            f".find(element => element.innerText.includes({json.dumps(text)}))"
        )
        x, y = self.wait_until(
            f"(() => {{ const element = {match}; if (!element) return null;"
            " element.scrollIntoView({block: 'center'});"
            " const box = element.getBoundingClientRect();"
            " return box.width ? [box.x + box.width / 2, box.y + box.height / 2] : null; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            event = {"x": x, "y": y, "button": "left", "clickCount": 1}
            self.call("Input.dispatchMouseEvent", type=kind, **event)

    def type(self, text: str) -> None:
        """Type into the focused element."""
        self.call("Input.insertText", text=text)

    def press(self, key: str, *, shift: bool = False) -> None:
        """Press Escape, Enter or Tab."""
        code = {"Escape": 27, "Enter": 13, "Tab": 9}[key]
        text = {"text": "\r"} if key == "Enter" else {}
        modifiers = 8 if shift else 0
        event = {"key": key, "code": key, "windowsVirtualKeyCode": code, "modifiers": modifiers}
        self.call("Input.dispatchKeyEvent", type="keyDown", **event, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", **event)

    def drag(self, selector: str, path: Path) -> Callable[[], None]:
        """Drag a file from outside over an element. Returns a function that drops it."""
        x, y = self.evaluate(
            f"(() => {{ const box = document.querySelector({json.dumps(selector)})"
            ".getBoundingClientRect(); return [box.x + box.width / 2, box.y + box.height / 2]; })()"
        )
        data = {"items": [], "files": [str(path)], "dragOperationsMask": 1}

        def move(kind: str) -> None:
            self.call("Input.dispatchDragEvent", type=kind, x=x, y=y, data=data)

        move("dragEnter")
        move("dragOver")
        return partial(move, "drop")

    def screenshot(self) -> bytes:
        """Return a WebP image of the visible page."""
        image = self.call("Page.captureScreenshot", format="webp", quality=85)
        return base64.b64decode(image["data"])

    def events(self, method: str) -> list[dict[str, Any]]:
        """Return the parameters of all events of this method so far."""
        self.evaluate("0")  # reading its reply also reads the pending events
        return [
            event["params"]
            for event in self._browser.events
            if event.get("method") == method and event.get("sessionId") == self._session
        ]

    def errors(self) -> list[str]:
        """Return errors, console output, and requests that the page's policy has blocked."""
        logged = [entry["entry"] for entry in self.events("Log.entryAdded")]
        return [
            *(entry["text"] for entry in logged if entry["level"] == "error"),
            *(str(call["args"]) for call in self.events("Runtime.consoleAPICalled")),
            *(str(thrown["exceptionDetails"]) for thrown in self.events("Runtime.exceptionThrown")),
            *(str(issue["issue"]) for issue in self.events("Audits.issueAdded")),
        ]

    def requested_urls(self) -> set[str]:
        """Return the URLs that the page has requested."""
        return {sent["request"]["url"] for sent in self.events("Network.requestWillBeSent")}


@contextmanager
def open_window(browser: Browser, width: int = 1440, height: int = 900) -> Generator[Window]:
    """Open a window, and close it at the end.

    A browser opens six connections to a server at most, and each console keeps one of them open.
    """
    window = Window(browser)
    window.resize(width, height)
    try:
        yield window
    finally:
        window.close()
