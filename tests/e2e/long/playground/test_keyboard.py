"""The playground with the keyboard only."""

import json

import pytest

from tests.support.browser.playground_window import LONG, PlaygroundWindow

FOCUSED = "document.activeElement"
LABEL = f"{FOCUSED}.getAttribute('aria-label') ?? {FOCUSED}.innerText.trim().split('\\n')[0]"
#: The text field has no outline, because the border of its row shows the focus.
SHOWS_FOCUS = (
    f"getComputedStyle({FOCUSED}).outlineStyle !== 'none' || {FOCUSED}.closest('.composer-row')"
    " !== null"
)


def focus(page: PlaygroundWindow, selector: str) -> None:
    """Focus an element as soon as it is shown."""
    element = f"document.querySelector({json.dumps(selector)})"
    page.window.wait_until(f"({element}?.focus(), {FOCUSED} === {element})")


def wait_for_focus(page: PlaygroundWindow, selector: str) -> None:
    page.window.wait_until(f"{FOCUSED}.matches({json.dumps(selector)})")


def tab_to(page: PlaygroundWindow, selector: str) -> None:
    """Press Tab until an element that matches has the focus."""
    for _ in range(60):
        page.window.press("Tab")
        if page.window.evaluate(f"{FOCUSED}.matches({json.dumps(selector)})"):
            return
    raise AssertionError(f"Tab does not reach {selector}.")


def wait_for_text_field(page: PlaygroundWindow) -> None:
    """Wait until the text field has the focus, and messages can be sent."""
    wait_for_focus(page, ".composer[aria-busy=false] [name=message]")


def ask(page: PlaygroundWindow, text: str) -> None:
    wait_for_text_field(page)
    page.window.type(text)
    page.window.press("Enter")


def test_tab_order_follows_the_layout(page: PlaygroundWindow) -> None:
    page.send("Count to 3")
    page.window.wait_for_text("Count to 3", ".sidebar li.current")  # no longer "New chat"
    focus(page, ".head a")
    labels: list[str] = []
    hidden: list[str] = []
    while page.window.evaluate(f"{FOCUSED} !== document.body"):
        label = page.window.evaluate(LABEL)
        labels.append(label)
        if not page.window.evaluate(SHOWS_FOCUS):
            hidden.append(label)
        page.window.press("Tab")
    expected = ["API", "Console", "Theme: system", "New chat", "Show me the code", "Messages"]
    expected += ["Edit", "Copy", "Regenerate", "Attach files", "Message", "Restart the API"]
    assert [label for label in labels if label in expected] == expected
    assert hidden == []


def test_enter_sends_and_shift_enter_breaks_the_line(page: PlaygroundWindow) -> None:
    wait_for_text_field(page)
    page.window.type("Count")
    page.window.press("Enter", shift=True)
    page.window.type("to 3")
    assert page.window.evaluate(f"{FOCUSED}.value") == "Count\nto 3"
    page.window.press("Enter")
    page.wait_for_summary()
    assert page.messages()[0] == "Count\nto 3"
    assert page.window.evaluate(f"{FOCUSED}.value") == ""


def test_answer_is_stopped_with_the_keyboard(page: PlaygroundWindow) -> None:
    ask(page, f"Count to {LONG}")
    page.wait_for_answer("10,")
    tab_to(page, ".composer button.danger")
    page.window.press("Enter")
    page.window.wait_for_text("stopped", ".message.assistant footer")
    wait_for_focus(page, "[name=message]")


@pytest.mark.parametrize(("button", "shown"), [("Allow", "would have sent"), ("Deny", "denied")])
def test_call_is_decided_with_the_keyboard(page: PlaygroundWindow, button: str, shown: str) -> None:
    ask(page, "Send an email, with my approval")
    page.window.wait_for_text("send_email", ".approval")
    page.wait_for_summary()
    focus(page, ".messages")
    tab_to(page, f".approval button{'.primary' if button == 'Allow' else ':not(.primary)'}")
    page.window.press("Enter")
    page.wait_for_answer(shown)
    wait_for_focus(page, "[name=message]")


def test_suggestion_leaves_the_focus_in_the_text_field(page: PlaygroundWindow) -> None:
    focus(page, ".messages")
    tab_to(page, ".suggestions button")
    page.window.press("Enter")
    page.wait_for_summary()
    wait_for_focus(page, "[name=message]")


def test_escape_leaves_the_editor(page: PlaygroundWindow) -> None:
    page.send("Count to 3")
    page.wait_for_summary()
    focus(page, ".messages")
    tab_to(page, "[aria-label=Edit]")
    page.window.press("Enter")
    wait_for_focus(page, ".editor textarea")
    page.window.press("Escape")
    wait_for_focus(page, "[aria-label=Edit]")


def test_dialog_keeps_and_returns_the_focus(page: PlaygroundWindow) -> None:
    button = ".chat-bar [aria-haspopup=dialog]"
    focus(page, ".head a")
    tab_to(page, button)
    page.window.press("Enter")
    page.window.wait_until("document.querySelector('.code-dialog[open]') !== null")
    for _ in range(20):
        page.window.press("Tab")
        # After the last element, the focus leaves the page.
        assert page.window.evaluate(
            f"{FOCUSED}.closest('dialog') !== null || {FOCUSED} === document.body"
        )
    page.window.press("Escape")
    wait_for_focus(page, button)
    page.window.wait_until("document.querySelector('dialog') === null")


@pytest.mark.parametrize(
    ("button", "panel"),
    [("[aria-label=Chats].narrow-only", ".sidebar"), (".chat-bar button[aria-expanded]", ".side")],
)
def test_panel_of_a_phone_takes_and_returns_the_focus(
    page: PlaygroundWindow, button: str, panel: str
) -> None:
    page.window.resize(390, 800)
    focus(page, button)
    page.window.press("Enter")
    wait_for_focus(page, f"{panel}.open")
    page.window.press("Tab")
    assert page.window.evaluate(f"{FOCUSED}.closest('{panel}') !== null")
    page.window.press("Escape")
    wait_for_focus(page, button)
    assert page.window.evaluate(f"document.querySelector('{panel}').className") == panel[1:]


def test_removed_chat_leaves_the_focus_on_the_page(page: PlaygroundWindow) -> None:
    focus(page, ".new-chat")
    page.window.press("Enter")
    focus(page, ".new-chat")
    tab_to(page, ".sidebar .remove")
    page.window.press("Enter")
    wait_for_focus(page, ".new-chat, [name=message]")
