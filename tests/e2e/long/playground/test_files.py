"""Files that are dropped and pasted into the playground."""

import json
from pathlib import Path

import pytest
from PIL import Image

from tests.support.browser.playground_window import PlaygroundWindow

PASTE = """
(() => {
  const files = new DataTransfer();
  files.items.add(new File(['A pasted note'], 'pasted.txt', { type: 'text/plain' }));
  const event = new ClipboardEvent('paste', { clipboardData: files, bubbles: true });
  document.querySelector('[name=message]').dispatchEvent(event);
})()
"""


def drop(page: PlaygroundWindow, target: str, file: Path) -> None:
    page.window.wait_until("document.querySelector('.composer[aria-busy=false]') !== null")
    drop_file = page.window.drag(target, file)
    page.window.wait_until("document.querySelector('.composer.drop') !== null")
    drop_file()
    page.window.wait_for_text(file.name, ".attachments")


def choose(page: PlaygroundWindow, file: Path) -> None:
    """Choose a file as in the dialog of the browser, which reports a change only."""
    document = page.window.call("DOM.getDocument")["root"]["nodeId"]
    field = {"nodeId": document, "selector": ".composer input[type=file]"}
    node = page.window.call("DOM.querySelector", **field)["nodeId"]
    page.window.call("DOM.setFileInputFiles", files=[str(file)], nodeId=node)
    page.window.wait_for_text(file.name, ".attachments")


@pytest.mark.parametrize("target", [".composer", ".messages", ".sidebar"])
def test_dropped_file_is_sent(page: PlaygroundWindow, tmp_path: Path, target: str) -> None:
    note = tmp_path / "dropped.txt"
    note.write_text("A dropped note")
    drop(page, target, note)
    page.send("Count to 3")
    page.wait_for_summary()
    assert page.window.text(".message.user .attachment") == "dropped.txt"
    assert page.window.errors() == []


def test_dropped_image_is_shown(page: PlaygroundWindow, tmp_path: Path) -> None:
    picture = tmp_path / "picture.png"
    Image.new("RGB", (2, 2)).save(picture)
    drop(page, ".composer", picture)
    page.send("Count to 3")
    page.wait_for_summary()
    shown = "document.querySelector('.message.user img.attachment')"
    page.window.wait_until(f"{shown}.naturalWidth > 0")
    assert page.window.evaluate(f"{shown}.alt") == "picture.png"


def test_pasted_file_is_sent(page: PlaygroundWindow) -> None:
    page.window.evaluate(PASTE)
    page.window.wait_for_text("pasted.txt", ".attachments")
    page.send("Count to 3")
    page.wait_for_summary()
    assert page.window.text(".message.user .attachment") == "pasted.txt"


def test_removed_file_is_not_sent(page: PlaygroundWindow) -> None:
    page.attach("one.txt", "1")
    page.attach("two.txt", "2")
    page.window.click(".attachments [aria-label='Remove one.txt']")
    page.send("Count to 3")
    page.wait_for_summary()
    names = "[...document.querySelectorAll('.message.user .attachment')].map(a => a.innerText)"
    assert page.window.evaluate(names) == ["two.txt"], json.dumps(page.messages())


def test_removed_file_can_be_chosen_again(page: PlaygroundWindow, tmp_path: Path) -> None:
    note = tmp_path / "note.txt"
    note.write_text("A note")
    choose(page, note)
    page.window.click(".attachments [aria-label='Remove note.txt']")
    page.window.wait_until("document.querySelector('.attachments') === null")
    choose(page, note)
