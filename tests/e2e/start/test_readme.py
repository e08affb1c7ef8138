"""The commands of the README work."""

import json
import re
import subprocess
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.support.system.dev import Dev, dev, until

ROOT = Path(__file__).parents[3]
BLOCKS = re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
COMMANDS = [line for block in BLOCKS for line in block.replace("\\\n", "").splitlines()]
CURLS = [command for command in COMMANDS if command.startswith("curl ")]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Generator[Dev]:
    with dev(tmp_path_factory.mktemp("readme")) as running:
        until(running.is_ready)
        yield running
        running.press_ctrl_c()
        until(lambda: running.process.poll() is not None)


def shell(command: str, running: Dev) -> list[str]:
    command = command.replace("localhost:8000", f"127.0.0.1:{running.port}")
    return ["bash", "-c", f"exec {command} --silent --show-error"]


def type_in(command: str, running: Dev) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        shell(command, running), capture_output=True, text=True, timeout=180, check=False
    )


def test_readme_make_targets_exist() -> None:
    targets = [command.split()[1] for command in COMMANDS if command.startswith("make ")]
    assert targets == ["dev", "test", "check"]
    for target in targets:
        subprocess.run(["make", "--dry-run", target], cwd=ROOT, check=True, capture_output=True)


def test_readme_curl_commands_work(running: Dev) -> None:
    ask, drop, replay, resume, *_ = CURLS

    assert "data: [DONE]" in type_in(ask, running).stdout
    dropped = type_in(drop, running)
    assert dropped.returncode == 28  # curl timed out
    assert "[DONE]" not in dropped.stdout

    complete = type_in(replay, running).stdout
    assert complete.endswith("data: [DONE]\n\n")
    stored = events(type_in(f"{replay}?merged=false", running).stdout)
    assert text_of(events(complete)) == text_of(stored)
    assert events(dropped.stdout) == stored[: len(events(dropped.stdout))]

    assert text_of(events(type_in(resume, running).stdout)) == text_of(stored[20:])


def test_readme_stop_command_ends_the_printed_answer(running: Dev) -> None:
    *_, count, stop = CURLS
    with subprocess.Popen(shell(count, running), stdout=subprocess.PIPE, text=True) as printing:
        assert printing.stdout
        printed = ""
        while "10, " not in printed:  # one event can contain several numbers
            printed += printing.stdout.readline()
        assert '"state":"cancelled"' in type_in(stop, running).stdout
        printed += printing.stdout.read()
    *_, abort, done = events(printed)
    assert (json.loads(abort), done) == ({"type": "abort"}, "[DONE]")
    assert "2000. Done." not in text_of(events(printed))


def events(stream: str) -> list[str]:
    """Return the data of the complete events."""
    complete, _, _ = stream.rpartition("\n\n")
    return [
        line.removeprefix("data: ")
        for event in complete.split("\n\n")
        if "\nid:" in f"\n{event}"  # a queue position has none
        for line in event.splitlines()
        if line.startswith("data: ")
    ]


def text_of(events: list[str]) -> str:
    return "".join(json.loads(event).get("delta", "") for event in events if event != "[DONE]")
