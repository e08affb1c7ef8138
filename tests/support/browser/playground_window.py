"""The playground in a browser, driven as a user does."""

import json
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import httpx

from tests.support.browser.page import Browser
from tests.support.browser.window import Window, open_window
from tests.support.system.dev import until

#: An answer of this many numbers takes longer than a test.
LONG = 5000
_HTTP_SECONDS = 60
_ANSWERS = "[...document.querySelectorAll('.message.assistant')]"
_SUMMARIES = "[...document.querySelectorAll('.recording')].map(run => run.dataset.summary)"


class PlaygroundWindow:
    def __init__(self, window: Window, url: str) -> None:
        self.window = window
        self.url = url

    def open(self, chat: str) -> None:
        """Load the page with this chat, or load it again."""
        self.window.visit("about:blank")
        self.window.visit(f"{self.url}/#chat={quote(chat)}")
        self.window.wait_for_text("Break it")

    def choose_agent(self, name: str) -> None:
        prototype = "HTMLSelectElement.prototype"
        self.window.evaluate(
            "(() => { const select = document.querySelector('.pickers select');"
            f" const {{ set }} = Object.getOwnPropertyDescriptor({prototype}, 'value');"
            f" set.call(select, {json.dumps(name)});"
            " select.dispatchEvent(new Event('change', {bubbles: true})); })()"
        )

    def attach(self, name: str, content: str) -> None:
        file = f"new File([{json.dumps(content)}], {json.dumps(name)}, {{type: 'text/plain'}})"
        self.window.evaluate(
            "(() => { const input = document.querySelector('.composer input[type=file]');"
            f" const list = new DataTransfer(); list.items.add({file}); input.files = list.files;"
            " input.dispatchEvent(new Event('change', {bubbles: true})); })()"
        )
        self.window.wait_for_text(name, ".attachments")

    def send(self, text: str) -> None:
        self.window.wait_until("document.querySelector('.composer[aria-busy=false]') !== null")
        self.window.click(".composer textarea")
        self.window.type(text)
        self.window.press("Enter")

    def break_it(self, label: str) -> None:
        self.window.click(".break-buttons button:not(:disabled)", label)

    def break_button_positions(self) -> list[list[float]]:
        positions: list[list[float]] = self.window.evaluate(
            "[...document.querySelectorAll('.break-buttons > *')].map(button =>"
            " { const box = button.getBoundingClientRect(); return [box.x, box.y]; })"
        )
        return positions

    def open_code(self) -> None:
        self.window.click(".chat-bar [aria-haspopup=dialog]")
        self.window.wait_until("document.querySelector('.code-dialog[open]') !== null")

    def shown_code(self, name: str) -> str:
        """Return the text of a file in the open dialog."""
        return self.window.evaluate(
            f"document.querySelector('.code-file[aria-label={json.dumps(name)}] pre').textContent"
        )

    def wait_for_answer(self, text: str) -> None:
        """Wait until an answer contains this text."""
        found = f"answer => answer.innerText.includes({json.dumps(text)})"
        self.window.wait_until(f"{_ANSWERS}.some({found})")

    def wait_for_entry(self, text: str) -> None:
        """Wait until the timeline contains this text."""
        self.window.wait_for_text(text, ".timeline")

    def wait_for_summary(self) -> str:
        """Wait for the end of the newest run, and return its line in the timeline."""
        return self.window.wait_until(f"{_SUMMARIES}[0]")

    def answer(self) -> str:
        """Return the text of the newest answer, without its actions."""
        text: str = self.window.evaluate(
            f"[...{_ANSWERS}.at(-1).querySelectorAll('.markdown')].map(p => p.innerText).join()"
        )
        return text

    def messages(self) -> list[str]:
        """Return the texts of all messages."""
        texts: list[str] = self.window.evaluate(
            "[...document.querySelectorAll('.message')].map(message =>"
            " [...message.querySelectorAll('.text, .markdown')].map(p => p.innerText).join())"
        )
        return texts

    def kill_worker(self, chat: str) -> bool:
        """Kill the worker of the chat's run, as the button does. Returns whether there is one."""
        url = f"{self.url}/playground/kill-worker?chat={quote(chat)}"
        return httpx.post(url, timeout=_HTTP_SECONDS).is_success

    def stop(self, chat: str) -> None:
        """Stop the answer that is being written, and keep the queued messages."""
        url = f"{self.url}/chat/{quote(chat)}/stop"
        httpx.post(url, timeout=_HTTP_SECONDS).raise_for_status()

    def wait_until_ended(self, chat: str) -> None:
        """Wait until no run of the chat is live."""
        until(lambda: chat not in self.live_chats())

    def live_chats(self) -> list[str]:
        """Return the chats that have a live run."""
        response = httpx.get(f"{self.url}/chats?state=live", timeout=_HTTP_SECONDS)
        return [chat["id"] for chat in response.raise_for_status().json()["chats"]]

    def stored_message(self, chat: str) -> dict[str, Any]:
        """Return the newest answer as the server has stored it."""
        url = f"{self.url}/chat/{quote(chat)}/message"
        response = httpx.get(url, timeout=_HTTP_SECONDS)
        assert response.status_code == 200, response.text
        return response.json()


@contextmanager
def open_playground(
    browser: Browser, url: str, chat: str, width: int = 1440
) -> Generator[PlaygroundWindow]:
    with open_window(browser, width) as window:
        page = PlaygroundWindow(window, url)
        page.open(chat)
        yield page


def counted(last: int) -> str:
    """Return the demo model's answer to "Count to LAST"."""
    return f"The demo model counts: {', '.join(map(str, range(1, last + 1)))}. Done."


def conversation(*lasts: int) -> list[str]:
    """Return the messages of a chat that asks for these counts."""
    return [text for last in lasts for text in (f"Count to {last}", counted(last))]
