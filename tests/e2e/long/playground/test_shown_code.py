"""The code that the playground shows does what the page has done."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.support.browser.playground_window import LONG, PlaygroundWindow, counted
from tests.support.chat_page.documented_code import FOLDER, documented_modules, write_project
from web.client import build_client
from web.node import find_node


def run(command: str) -> str:
    """Run a shell command, and return its output."""
    command = command.replace("curl ", "curl --silent --show-error ", 1)
    finished = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, timeout=60, check=True
    )
    return finished.stdout


def text_of(stream: str) -> str:
    events = [line[6:] for line in stream.splitlines() if line.startswith("data: {")]
    return "".join(json.loads(event).get("delta", "") for event in events)


def commands(page: PlaygroundWindow) -> list[str]:
    page.open_code()
    shown = page.shown_code("curl")
    page.window.press("Escape")
    return [part.split("\n", 1)[1] for part in shown.split("# ")[1:]]


def test_shown_commands_resume_and_stop_the_answer(page: PlaygroundWindow) -> None:
    page.send(f"Count to {LONG}")
    page.wait_for_answer("10,")
    _, resume, stop = commands(page)
    assert '"state":"cancelled"' in run(stop)
    page.window.wait_for_text("stopped", ".message.assistant footer")
    answer, rest = page.answer(), text_of(run(resume)).strip()
    assert answer.endswith(rest)
    assert 0 < len(rest) < len(answer)


def test_shown_request_is_the_one_that_was_sent(page: PlaygroundWindow) -> None:
    page.attach("it's a note.txt", "A note with 'quotes' and $variables")
    page.send('Count to 20, it\'s "easy" for $0 and `date`')
    page.wait_for_summary()
    send, *_ = commands(page)
    assert text_of(run(send)) == counted(20)
    assert '"filename": "it\'s a note.txt"' in send


def test_shown_component_is_the_documented_one(page: PlaygroundWindow) -> None:
    page.choose_agent("research")
    page.open_code()
    shown = page.shown_code("Chat.tsx")
    documented = documented_modules("7")
    before, fields = documented["Chat.tsx"].split("        body: {\n")
    _, after = fields.split("        },\n", 1)
    body = "        body: {\n          agent: 'research',\n          sdkVersion: 7,\n        },\n"
    assert shown == f"{before}{body}{after}"
    for name in ("Approval.tsx", "DisplayTools.tsx"):
        assert page.shown_code(name) == documented[name]


def test_shown_component_compiles(page: PlaygroundWindow, url: str, tmp_path: Path) -> None:
    page.open_code()
    assert f"api: '{url}/chat'," in page.shown_code("App.tsx")
    build_client()
    node = find_node()
    node.install(FOLDER)
    write_project(tmp_path, "7")
    (tmp_path / "app.tsx").unlink()  # the name differs only in its case
    for name in ("App.tsx", "Chat.tsx"):
        (tmp_path / name).write_text(page.shown_code(name))
    compiler = FOLDER / "node_modules/typescript/bin/tsc"
    command = [str(node.path), str(compiler), "--project", str(tmp_path)]
    compiled = subprocess.run(command, capture_output=True, text=True, check=False)
    assert compiled.returncode == 0, compiled.stdout


@pytest.mark.parametrize("name", ["curl", "App.tsx", "Chat.tsx"])
def test_shown_code_is_copied(page: PlaygroundWindow, name: str) -> None:
    page.send("Count to 3")
    page.wait_for_summary()
    page.open_code()
    page.window.evaluate("navigator.clipboard.writeText = async text => { window.copied = text; }")
    page.window.click(f".code-file [aria-label='Copy {name}']")
    page.window.wait_for_text("Copied", f".code-file[aria-label='{name}'] [role=status]")
    assert page.window.evaluate("window.copied.trimEnd()") == page.shown_code(name).rstrip()
