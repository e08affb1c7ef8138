"""The agent file: its fields and its error messages."""

import os
from pathlib import Path

import pytest

from shared.agents.agent_file import AgentFile
from shared.errors import SettingsError
from shared.settings import AgentSettings

POET = "agents: [{name: poet, instructions: Rhyme.}]"


def file_of(path: Path, text: str) -> AgentFile:
    (path / "agents.yaml").write_text(text)
    return AgentFile(AgentSettings(file=path / "agents.yaml"))


def error_of(path: Path, text: str) -> str:
    with pytest.raises(SettingsError) as raised:
        file_of(path, text).read()
    assert str(path / "agents.yaml") in str(raised.value)
    return str(raised.value)


def test_agent_has_every_field_of_its_entry(tmp_path: Path) -> None:
    [agent] = file_of(
        tmp_path,
        """
        agents:
          - name: poet
            description: In verse.
            instructions: Rhyme.
            model: openai/m
            tools: [generateCard]
            approval: [generateCard]
            limits: {seconds: 60, steps: 5, tokens: 1000, cost: 0.5}
            retries: {max_retries: 0, after_output: fail}
            queue: slow
        """,
    ).read()

    card = agent.card
    assert (card.name, card.description, card.model) == ("poet", "In verse.", "openai/m")
    assert (card.tools, card.queue, card.limits.steps) == (("generateCard",), "slow", 5)
    assert agent.approval == ("generateCard",)
    assert (agent.instructions, agent.retries.after_output) == ("Rhyme.", "fail")


def test_current_agents_are_read_again_only_after_a_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[Path] = []
    read_text = Path.read_text

    def counted(path: Path, encoding: str) -> str:
        reads.append(path)
        return read_text(path, encoding)

    file = file_of(tmp_path, POET)
    monkeypatch.setattr(Path, "read_text", counted)
    file.read()

    assert [agent.name for agent in file.current()] == ["poet"]
    assert len(reads) == 1
    file_of(tmp_path, POET.replace("poet", "sonneteer"))
    assert [agent.name for agent in file.current()] == ["sonneteer"]
    assert len(reads) == 2


@pytest.mark.parametrize("text", ["", "agents: []", "# nothing"])
def test_file_without_agents_is_valid(tmp_path: Path, text: str) -> None:
    assert not file_of(tmp_path, text).read()


def test_missing_file_fails_only_if_a_setting_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert not AgentFile(AgentSettings()).read()

    with pytest.raises(SettingsError, match=r"agents\.yaml cannot be read"):
        AgentFile(AgentSettings(file=tmp_path / "agents.yaml")).read()


INVALID_FILES = {
    "agents: [{name: poet}]": "agents[0].instructions: Field required",
    "agents: [{name: Poet, instructions: x}]": "agents[0].name: String should match",
    "agents: [{name: p, instructions: x, limits: {steps: 0}}]": "agents[0].limits.steps: Input",
    "agents: [{name: p, instructions: x, colour: red}]": "agents[0].colour: Extra",
    "agents: [{name: p, instructions: x, queue: a b}]": "agents[0].queue: String should match",
    "agents: 7": "agents: Input should be",
    "7": "the file: Input should be",
    "agents: [": "cannot be read",
    "agents: 2026-99-99": "cannot be read",
    "agents: []\nagents: []": "duplicate key",
    "agents: [{name: p, instructions: x}, {name: p, instructions: x}]": (
        "agents[1].name: 'p' is already in use (agents[0].name)"
    ),
    "agents: [{name: chat, instructions: x}]": "'chat' is already in use (built in)",
}


@pytest.mark.parametrize(("text", "expected"), INVALID_FILES.items(), ids=INVALID_FILES.values())
def test_invalid_file_error_names_file_and_field(tmp_path: Path, text: str, expected: str) -> None:
    assert expected in error_of(tmp_path, text)


def test_changed_reports_each_change_once(tmp_path: Path) -> None:
    file = file_of(tmp_path, POET)
    assert file.changed()
    file.read()
    assert not file.changed()

    file.path.write_text("agents: [")
    os.utime(file.path, (1, 1))
    assert file.changed()
    with pytest.raises(SettingsError):
        file.read()
    assert not file.changed()
