"""The demo model asks for approval, and the decision survives what users and operators do."""

from collections.abc import Generator

import pytest

from tests.support.browser.page import Browser
from tests.support.browser.playground_window import PlaygroundWindow, counted, open_playground
from tests.support.system.dev import until

RESULT = "The demo sends nothing. A real tool would have sent"
DENIED = "The call was denied, so no email was sent."
END = "executes the call again without a second question."


@pytest.fixture
def asked(page: PlaygroundWindow, chat: str) -> PlaygroundWindow:
    """The page of a chat whose tool call waits for a decision."""
    page.send("Send an email, with my approval")
    page.window.wait_for_text("send_email", ".approval")
    page.wait_until_ended(chat)
    return page


@pytest.fixture
def second(asked: PlaygroundWindow, browser: Browser, chat: str) -> Generator[PlaygroundWindow]:
    with open_playground(browser, asked.url, chat) as second:
        second.window.wait_for_text("send_email", ".approval")
        yield second


def decide(page: PlaygroundWindow, label: str) -> None:
    page.window.click(".approval button", label)


def check_answer(page: PlaygroundWindow, chat: str, expected: str) -> None:
    """Check that the answer continues after the call, once."""
    page.wait_for_answer(END)
    page.window.wait_until("document.querySelector('.message.live') === null")
    stored = page.stored_message(chat)
    texts = [part["text"] for part in stored["parts"] if part["type"] == "text"]
    assert len(texts) == 2
    assert texts[1].startswith(expected)
    assert texts[1].endswith(END)
    assert page.window.evaluate("document.querySelectorAll('.message').length") == 2
    assert page.answer().split() == ",".join(texts).split()


@pytest.mark.parametrize(("label", "expected"), [("Allow", RESULT), ("Deny", DENIED)])
def test_answer_continues_after_the_decision(
    asked: PlaygroundWindow, chat: str, label: str, expected: str
) -> None:
    decide(asked, label)
    check_answer(asked, chat, expected)
    assert asked.window.errors() == []


def test_approval_survives_a_reload_and_a_killed_worker(asked: PlaygroundWindow, chat: str) -> None:
    asked.open(chat)
    asked.window.wait_for_text("send_email", ".approval")
    decide(asked, "Allow")
    until(lambda: asked.kill_worker(chat))
    asked.wait_for_entry("Attempt 2 ")
    check_answer(asked, chat, RESULT)


def test_reload_during_an_approved_call_shows_its_result(
    asked: PlaygroundWindow, chat: str
) -> None:
    decide(asked, "Allow")
    asked.window.wait_until("document.querySelectorAll('.recording').length === 2")
    asked.open(chat)
    check_answer(asked, chat, RESULT)
    asked.open(chat)
    check_answer(asked, chat, RESULT)


def test_page_reloaded_right_after_the_decision_shows_the_result(
    asked: PlaygroundWindow, chat: str
) -> None:
    decide(asked, "Allow")
    asked.window.wait_until("document.querySelector('.approval') === null")
    asked.open(chat)
    check_answer(asked, chat, RESULT)


def test_decision_in_one_tab_is_shown_in_the_other(
    asked: PlaygroundWindow, second: PlaygroundWindow, chat: str
) -> None:
    decide(second, "Deny")
    check_answer(second, chat, DENIED)
    check_answer(asked, chat, DENIED)


def test_second_of_two_decisions_shows_the_first(
    asked: PlaygroundWindow, second: PlaygroundWindow, chat: str
) -> None:
    press = "document.querySelector('.approval button.primary').click()"
    asked.window.evaluate(press)
    second.window.evaluate(press)
    check_answer(asked, chat, RESULT)
    check_answer(second, chat, RESULT)


def test_approval_is_disabled_after_a_newer_message(asked: PlaygroundWindow) -> None:
    asked.send("Count to 3")
    asked.wait_for_answer(counted(3))
    asked.window.wait_until("document.querySelector('.message.live') === null")
    enabled = "document.querySelectorAll('.approval button:enabled').length"
    assert asked.window.evaluate(enabled) == 0
