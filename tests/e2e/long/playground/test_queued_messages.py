"""Messages that are sent while an answer is being written, in one tab and in several."""

from collections.abc import Generator

import pytest

from tests.support.browser.page import Browser
from tests.support.browser.playground_window import (
    PlaygroundWindow,
    conversation,
    open_playground,
)


@pytest.fixture
def second(
    page: PlaygroundWindow, browser: Browser, url: str, chat: str
) -> Generator[PlaygroundWindow]:
    """A second tab, opened while the first one receives a long answer."""
    page.send("Count to 150")
    page.wait_for_answer("10,")
    with open_playground(browser, url, chat) as second:
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
    assert page.messages() == conversation(*lasts)


def test_queued_message_is_answered_next(page: PlaygroundWindow) -> None:
    page.send("Count to 100")
    page.wait_for_answer("10,")
    queue(page, 7)
    check_messages(page, 100, 7)


def test_queued_messages_survive_a_reload(page: PlaygroundWindow, chat: str) -> None:
    page.send("Count to 150")
    page.wait_for_answer("10,")
    queue(page, 90, 91)
    page.open(chat)
    check_messages(page, 150, 90, 91)


def test_messages_answered_during_a_reload_keep_their_order(
    page: PlaygroundWindow, chat: str
) -> None:
    page.send("Count to 60")
    page.wait_for_answer("10,")
    queue(page, 3, 4)
    page.window.visit("about:blank")
    page.wait_until_ended(chat)
    page.open(chat)
    check_messages(page, 60, 3, 4)


def test_cancelled_message_is_not_answered(page: PlaygroundWindow, chat: str) -> None:
    page.send("Count to 150")
    page.wait_for_answer("10,")
    queue(page, 80, 5)
    page.open(chat)
    page.window.click(".queue button", "Cancel")
    check_messages(page, 150, 5)


def test_two_tabs_show_queued_messages_in_one_order(
    page: PlaygroundWindow, second: PlaygroundWindow, chat: str
) -> None:
    for tab, last in ((page, 3), (second, 4), (page, 5), (second, 6)):
        queue(tab, last)
    check_messages(page, 150, 3, 4, 5, 6)
    check_messages(second, 150, 3, 4, 5, 6)
    second.open(chat)
    check_messages(second, 150, 3, 4, 5, 6)


def test_hidden_tab_shows_what_another_tab_queued(
    page: PlaygroundWindow, second: PlaygroundWindow
) -> None:
    page.window.set_always_visible(always_visible=False)
    second.window.call("Page.bringToFront")
    queue(second, 40, 3)
    check_messages(second, 150, 40, 3)
    page.window.call("Page.bringToFront")
    check_messages(page, 150, 40, 3)


def test_idle_tab_shows_what_another_tab_sends(
    page: PlaygroundWindow, second: PlaygroundWindow
) -> None:
    check_messages(page, 150)
    check_messages(second, 150)
    second.send("Count to 30")
    second.wait_for_answer("1, 2")
    queue(second, 3, 4)
    check_messages(page, 150, 30, 3, 4)
    check_messages(second, 150, 30, 3, 4)
