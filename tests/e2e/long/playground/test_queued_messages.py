"""Messages that are sent while an answer is being written, in one tab and in several.

The first answer takes longer than a test. It is stopped when all messages are queued.
"""

from collections.abc import Generator

import pytest

from tests.support.browser.page import Browser
from tests.support.browser.playground_window import (
    LONG,
    PlaygroundWindow,
    conversation,
    open_playground,
)

PROMPT = f"Count to {LONG}"


@pytest.fixture
def busy(page: PlaygroundWindow) -> PlaygroundWindow:
    """A tab that receives the long answer."""
    page.send(PROMPT)
    page.wait_for_answer("10,")
    return page


@pytest.fixture
def second(busy: PlaygroundWindow, browser: Browser, chat: str) -> Generator[PlaygroundWindow]:
    """A second tab that receives the same answer."""
    with open_playground(browser, busy.url, chat) as second:
        second.wait_for_answer("10,")
        yield second


def queue(page: PlaygroundWindow, *lasts: int) -> None:
    for last in lasts:
        page.send(f"Count to {last}")
        page.window.wait_for_text(f"queued\nCount to {last}\n", ".queue")


def check_messages(page: PlaygroundWindow, *lasts: int) -> None:
    """Wait for the end of the last answer, and check the order of all messages."""
    page.wait_for_answer(f"{lasts[-1]}. Done.")
    page.window.wait_until("document.querySelector('.message.live, .queue') === null")
    prompt, stopped, *others = page.messages()
    assert prompt == PROMPT
    assert stopped.startswith("The demo model counts: 1, 2, 3,")
    assert others == conversation(*lasts)


def test_queued_message_is_answered_next(busy: PlaygroundWindow, chat: str) -> None:
    queue(busy, 7)
    busy.stop(chat)
    check_messages(busy, 7)


def test_queued_messages_survive_a_reload(busy: PlaygroundWindow, chat: str) -> None:
    queue(busy, 90, 91)
    busy.open(chat)
    busy.stop(chat)
    check_messages(busy, 90, 91)


def test_messages_answered_during_a_reload_keep_their_order(
    busy: PlaygroundWindow, chat: str
) -> None:
    queue(busy, 3, 4)
    busy.window.visit("about:blank")
    busy.stop(chat)
    busy.wait_until_ended(chat)
    busy.open(chat)
    check_messages(busy, 3, 4)


def test_cancelled_message_is_not_answered(busy: PlaygroundWindow, chat: str) -> None:
    queue(busy, 80, 5)
    busy.open(chat)
    busy.window.click(".queue button", "Cancel")
    busy.window.wait_until("document.querySelectorAll('.queue li').length === 1")
    busy.stop(chat)
    check_messages(busy, 5)


def test_two_tabs_show_queued_messages_in_one_order(
    busy: PlaygroundWindow, second: PlaygroundWindow, chat: str
) -> None:
    for tab, last in ((busy, 3), (second, 4), (busy, 5), (second, 6)):
        queue(tab, last)
    busy.stop(chat)
    check_messages(busy, 3, 4, 5, 6)
    check_messages(second, 3, 4, 5, 6)
    second.open(chat)
    check_messages(second, 3, 4, 5, 6)
    assert busy.messages() == second.messages()


def test_hidden_tab_shows_what_another_tab_queued(
    busy: PlaygroundWindow, second: PlaygroundWindow, chat: str
) -> None:
    busy.window.set_always_visible(always_visible=False)
    second.window.call("Page.bringToFront")
    queue(second, 40, 3)
    second.stop(chat)
    check_messages(second, 40, 3)
    busy.window.call("Page.bringToFront")
    check_messages(busy, 40, 3)


def test_idle_tab_shows_what_another_tab_sends(
    busy: PlaygroundWindow, second: PlaygroundWindow, chat: str
) -> None:
    queue(busy, 20)
    busy.stop(chat)
    check_messages(busy, 20)
    check_messages(second, 20)
    second.send("Count to 30")
    check_messages(second, 20, 30)
    check_messages(busy, 20, 30)


def test_refused_message_returns_to_the_field(busy: PlaygroundWindow) -> None:
    busy.attach("large.txt", "x" * 6_400_000)
    busy.send("Read this")
    busy.window.wait_for_text("The body is larger than", ".messages")
    busy.window.wait_for_text("large.txt", ".attachments")
    assert busy.window.evaluate("document.querySelector('[name=message]').value") == "Read this"
