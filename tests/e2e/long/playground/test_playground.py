"""The playground of `mamba dev`: a chat whose answers survive what its buttons break."""

import json
import re

import pytest

from tests.support.browser.accessibility import accessibility_violations
from tests.support.browser.page import Browser
from tests.support.browser.playground_window import (
    LONG,
    PlaygroundWindow,
    conversation,
    counted,
    open_playground,
)
from tests.support.browser.window import open_window
from tests.support.system.dev import Dev, until

SUMMARY = re.compile(r"(\d+) events, 0 lost, 0 repeated, digest verified")
#: An answer of this many numbers takes eight seconds, so that a test can act meanwhile.
MANY = 500
KILL_BUTTON = "document.querySelector('.break-buttons .danger')"


def check_whole(page: PlaygroundWindow, chat: str, last: int) -> None:
    """Check that the page has received the whole answer once, and shows what the server stored."""
    summary = page.wait_for_summary()
    match = SUMMARY.fullmatch(summary)
    assert match, summary
    expected = counted(last)
    message = page.stored_message(chat)
    [text] = [part["text"] for part in message["parts"] if part["type"] == "text"]
    assert text == expected
    assert page.answer() == expected
    assert message["metadata"]["mamba"]["events"] == int(match[1])


def test_answer_is_complete_and_the_page_has_no_errors(
    page: PlaygroundWindow, chat: str, url: str
) -> None:
    page.send("Count to 20")
    check_whole(page, chat, 20)
    page.window.wait_for_text("Count to 20", ".sidebar li.current")
    assert page.window.errors() == []
    assert all(requested.startswith(url) for requested in page.window.requested_urls())


def test_earlier_messages_are_not_replaced_during_an_answer(page: PlaygroundWindow) -> None:
    page.send("Count to 3")
    page.wait_for_summary()
    page.window.click(".message.user [aria-label=Edit]")
    page.send(f"Count to {MANY}")
    page.wait_for_answer("10,")
    assert page.window.evaluate("document.querySelector('[aria-label=Regenerate]')") is None
    page.window.evaluate("document.querySelector('.editor').requestSubmit()")
    page.wait_for_answer(counted(MANY))
    page.window.wait_until("document.querySelector('.editor button:enabled.primary') !== null")
    assert page.messages() == [counted(3), f"Count to {MANY}", counted(MANY)]


def test_link_to_another_chat_opens_it(page: PlaygroundWindow, chat: str) -> None:
    page.send("Count to 3")
    page.wait_for_summary()
    page.window.evaluate("location.hash = 'chat=linked'")
    page.window.wait_until("document.querySelector('.message') === null")
    page.window.evaluate(f"location.hash = 'chat={chat}'")
    page.wait_for_answer(counted(3))


def test_answer_survives_a_killed_worker(page: PlaygroundWindow, chat: str, running: Dev) -> None:
    killed = running.child("mamba worker")
    page.send(f"Count to {MANY}")
    page.wait_for_answer("10,")
    page.break_it("Kill the worker")
    page.wait_for_entry("was killed (SIGKILL)")
    page.wait_for_entry("Attempt 2 continues at event")
    check_whole(page, chat, MANY)
    assert running.child("mamba worker") != killed
    assert page.window.errors() == []


def test_break_buttons_do_not_move_during_an_answer(page: PlaygroundWindow) -> None:
    before = page.break_button_positions()
    page.send(f"Count to {MANY}")
    page.wait_for_answer("10,")
    page.window.wait_until(f"{KILL_BUTTON}.disabled === false")
    assert page.break_button_positions() == before
    page.wait_for_summary()
    page.window.wait_until(f"{KILL_BUTTON}.disabled")
    assert page.break_button_positions() == before


def test_answer_survives_a_restarted_api(page: PlaygroundWindow, chat: str, running: Dev) -> None:
    before = running.child("mamba api")
    page.send(f"Count to {MANY}")
    page.wait_for_answer("10,")
    page.break_it("Restart the API")
    page.wait_for_entry("Reconnected with cursor ")
    check_whole(page, chat, MANY)
    assert running.child("mamba api") != before


def test_answer_survives_a_cut_connection(page: PlaygroundWindow, chat: str) -> None:
    page.send(f"Count to {MANY}")
    for text in ("10,", "60,"):
        page.wait_for_answer(text)
        page.break_it("Cut my connection")
    page.wait_for_entry("Reconnected with cursor ")
    check_whole(page, chat, MANY)


def test_answer_survives_ten_seconds_offline(page: PlaygroundWindow, chat: str) -> None:
    page.send(f"Count to {MANY}")
    page.wait_for_answer("10,")
    page.break_it("Go offline for 10 s")
    page.window.wait_for_text("Offline", ".chat-bar")
    page.wait_for_entry("Reconnected with cursor ")
    check_whole(page, chat, MANY)


def test_second_tab_shows_the_same_answer(
    page: PlaygroundWindow, chat: str, browser: Browser, url: str
) -> None:
    page.send(f"Count to {MANY}")
    page.wait_for_answer("10,")
    page.window.set_always_visible(always_visible=False)
    with open_playground(browser, url, chat) as second:
        check_whole(second, chat, MANY)
        assert second.window.evaluate("document.querySelectorAll('.message').length") == 2
    # A browser hides the first tab meanwhile, and a hidden page has no connection.
    page.window.call("Page.bringToFront")
    check_whole(page, chat, MANY)


def test_reloaded_page_shows_the_whole_answer(page: PlaygroundWindow, chat: str) -> None:
    page.send(f"Count to {MANY}")
    page.wait_for_answer("10,")
    page.open(chat)
    page.wait_for_entry("Replay of the stream from event 1.")
    check_whole(page, chat, MANY)


def test_page_reloaded_right_after_sending_shows_the_answer(
    page: PlaygroundWindow, chat: str
) -> None:
    """The server has accepted the message, but the page has not received the response."""
    page.window.call(
        "Fetch.enable", patterns=[{"urlPattern": "*/chat", "requestStage": "Response"}]
    )
    page.send("Count to 50")
    until(lambda: page.window.events("Fetch.requestPaused"))
    page.window.visit("about:blank")
    page.window.call("Fetch.disable")
    page.open(chat)
    check_whole(page, chat, 50)
    assert page.messages() == conversation(50)


@pytest.mark.parametrize("failure", ["429", "reset", "hang"])
def test_answer_survives_a_failing_model(page: PlaygroundWindow, chat: str, failure: str) -> None:
    page.break_it(f"Model: {failure}")
    page.wait_for_entry("Attempt 2 continues at event")
    check_whole(page, chat, 60)


def test_stop_ends_the_answer(page: PlaygroundWindow, chat: str) -> None:
    page.send(f"Count to {LONG}")
    page.wait_for_answer("10,")
    page.window.click(".composer button", "Stop")
    page.window.wait_for_text("stopped", ".message.assistant footer")
    assert page.stored_message(chat)["metadata"]["mamba"]["stopped"] is True


def test_edited_message_gets_another_answer(page: PlaygroundWindow) -> None:
    page.send("Count to 5")
    page.wait_for_summary()
    page.window.click(".message.user [aria-label=Edit]")
    page.window.wait_until("document.activeElement.matches('.editor textarea')")
    page.window.type(" and count to 8")
    page.window.click(".editor button", "Send")
    page.wait_for_answer("1, 2, 3, 4, 5")
    page.window.wait_until("document.querySelectorAll('.recording').length === 2")
    page.wait_for_summary()
    assert page.window.evaluate("document.querySelectorAll('.message').length") == 2


def test_edited_message_keeps_its_files(page: PlaygroundWindow) -> None:
    page.attach("notes.txt", "A note")
    page.send("Count to 5")
    page.wait_for_summary()
    page.window.click(".message.user [aria-label=Edit]")
    page.window.click(".editor button", "Send")
    page.window.wait_until("document.querySelectorAll('.recording').length === 2")
    assert page.window.text(".message.user .attachment") == "notes.txt"


@pytest.mark.parametrize("hash_", ["#chat=%", "#chat=", "#other"])
def test_malformed_link_opens_a_chat(browser: Browser, url: str, hash_: str) -> None:
    with open_window(browser) as window:
        window.visit(f"{url}/{hash_}")
        window.wait_for_text("Break it")
        assert window.errors() == []


@pytest.mark.parametrize(
    ("prompt", "selector"),
    [
        ("chart", ".chart-figure path.recharts-rectangle"),
        ("form", ".display-form input[type=email]"),
        ("code", ".code-figure .hljs-keyword"),
        ("card", ".display-card .badge.danger"),
    ],
)
def test_display_tool_is_rendered(page: PlaygroundWindow, prompt: str, selector: str) -> None:
    page.send(f"Show me a {prompt}")
    page.window.wait_until(f"document.querySelector('{selector}') !== null")


def test_images_of_other_servers_are_links(page: PlaygroundWindow, chat: str, url: str) -> None:
    image = "https://images.example/tracker.png"
    card = {"title": "Card", "media": {"url": image, "alt": "A card"}, "layout": "vertical"}
    file = {"type": "file", "mediaType": "image/png", "url": image, "filename": "A file"}
    parts = [{"type": "data-card", "data": card}, file, {"type": "text", "text": f"![M]({image})"}]
    messages = [
        {"id": "m1", "role": "user", "parts": [{"type": "text", "text": "Show images"}]},
        {"id": "m2", "role": "assistant", "parts": parts},
    ]
    stored = json.dumps(json.dumps({"messages": messages, "changedAt": 1}))
    page.window.evaluate(f"localStorage['mamba.playground.conversation.{chat}'] = {stored}")
    page.open(chat)
    page.window.wait_for_text("Show images", ".messages")
    links = "[...document.querySelectorAll('.message.assistant a')].map(link => link.href)"
    assert page.window.evaluate(links) == [image] * 3
    assert all(requested.startswith(url) for requested in page.window.requested_urls())

    page.window.evaluate(
        f"new Promise(done => {{ const i = new Image(); i.onerror = done; i.src = '{image}'; }})"
    )
    assert "img-src" in str(page.window.errors())


@pytest.mark.parametrize(
    ("agent", "shown"),
    [("research", "The demo model quotes the note"), ("code_review", "problems; 3 of them")],
)
def test_agent_uses_its_tools(page: PlaygroundWindow, agent: str, shown: str) -> None:
    page.choose_agent(agent)
    page.window.click(".suggestions button", "defects" if agent == "code_review" else "worker")
    page.wait_for_answer(shown)
    cards = page.window.evaluate("document.querySelectorAll('.display-card').length")
    sources = page.window.evaluate("document.querySelectorAll('.sources li').length")
    assert (cards, sources) == ((3, 0) if agent == "code_review" else (0, 1))


def test_line_separator_in_an_event_is_read(page: PlaygroundWindow) -> None:
    page.choose_agent("research")
    page.send("How is a killed\u2028worker replaced?")
    assert SUMMARY.fullmatch(page.wait_for_summary())


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1440])
def test_page_meets_wcag_aa(page: PlaygroundWindow, chat: str, scheme: str, width: int) -> None:
    window = page.window
    window.set_color_scheme(scheme)
    window.resize(width, 800)
    violations = accessibility_violations(window)
    for tool in ("chart", "form", "code", "card"):
        page.send(f"Show me a {tool}")
        page.wait_for_summary()
    page.send("Send an email, with my approval")
    window.wait_for_text("send_email", ".approval")
    violations += accessibility_violations(window)
    page.open_code()
    violations += accessibility_violations(window)
    window.press("Escape")
    if width < 900:
        for button in ("[aria-label=Chats].narrow-only", ".chat-bar button[aria-expanded]"):
            window.click(button)
            violations += accessibility_violations(window)
            window.press("Escape")
    page.attach("note.txt", "A note")
    page.send(f"Count to {LONG}")
    page.send("Count to 3")
    window.wait_for_text("queued", ".queue")
    violations += accessibility_violations(window)
    page.stop(chat)
    assert window.evaluate("document.documentElement.dataset.theme") == scheme
    assert violations == []


@pytest.mark.parametrize("width", [360, 768, 1440])
def test_layout_fits_the_screen(page: PlaygroundWindow, width: int) -> None:
    page.window.resize(width, 800, phone=width < 900)
    page.send("Count to 50")
    page.wait_for_answer("50. Done.")
    assert page.window.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.open_code()
    code = "document.querySelector('.code-files')"
    assert page.window.evaluate(f"{code}.scrollWidth <= {code}.clientWidth")
    page.window.press("Escape")
    if width < 900:
        page.window.click(".chat-bar button", "Timeline")
        page.wait_for_entry("digest verified")
        page.window.click("[aria-label=Chats]")
        page.window.wait_for_text("New chat", ".sidebar")
