"""`mamba init` and `mamba agent new` write their files."""

import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mamba.cli import app
from mamba.scaffold.agent_package import package_files, package_name
from shared.agents.agent_file import AgentFile
from shared.api_key import hash_of
from shared.settings import load_settings

ROOT = Path(__file__).parents[3]
DEPLOYMENT = ["compose.yaml", "config/agents.yaml", "config/config.yaml"]

runner = CliRunner()


def files_in(folder: Path) -> list[str]:
    return sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())


def test_init_writes_valid_settings_and_agents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "new" / "deployment"

    result = runner.invoke(app, ["init", str(folder)])

    assert result.exit_code == 0, result.stderr
    assert files_in(folder) == DEPLOYMENT
    monkeypatch.chdir(folder)
    settings = load_settings()
    [agent] = AgentFile(settings.agents).read()
    assert settings.agents.file.exists()
    assert agent.name == "assistant"
    assert settings.auth.mode == "api_key"
    [entry] = settings.auth.api_keys
    [key] = [line.strip() for line in result.stdout.splitlines() if line.startswith("  mk_")]
    assert entry.digest == hash_of(key)
    assert not entry.scopes


def test_init_prints_the_key_once_and_writes_only_its_hash(tmp_path: Path) -> None:
    result = runner.invoke(app, ["init", str(tmp_path)])

    assert result.stdout.count("mk_") == 1
    for name in DEPLOYMENT:
        text = (tmp_path / name).read_text()
        assert "mk_" not in text
        assert "{version}" not in text
        assert "{key" not in text


@pytest.mark.parametrize("name", DEPLOYMENT)
def test_init_overwrites_files_only_with_force(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    file.write_text("mine")

    refused = runner.invoke(app, ["init", str(tmp_path)])

    assert refused.exit_code == 1
    assert str(file) in refused.stderr
    assert "--force" in refused.stderr
    assert "mk_" not in refused.stdout
    assert files_in(tmp_path) == [name]
    assert file.read_text() == "mine"
    assert runner.invoke(app, ["init", str(tmp_path), "--force"]).exit_code == 0
    assert file.read_text() != "mine"


def test_init_without_a_folder_uses_the_current_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    assert runner.invoke(app, ["init"]).exit_code == 0
    assert files_in(tmp_path) == DEPLOYMENT


def test_unwritable_file_is_reported(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("not a folder")

    result = runner.invoke(app, ["init", str(tmp_path)])

    assert result.exit_code == 1
    [line] = result.stderr.splitlines()
    assert "cannot be written" in line


@pytest.mark.parametrize("command", [["init"], ["agent", "new", "weather", "--dir"]])
def test_unusable_folder_is_reported(tmp_path: Path, command: list[str]) -> None:
    result = runner.invoke(app, [*command, str(tmp_path / ("a" * 256))])

    assert result.exit_code == 1
    assert result.stderr.endswith("cannot be written: File name too long.\n")


@pytest.mark.parametrize(
    ("agent", "package"),
    [
        ("weather", "weather-agent"),
        ("weather-agent", "weather-agent"),
        ("order_status", "order-status-agent"),
        ("billing_agent", "billing-agent"),
        ("my-billing", "my-billing-agent"),
        ("class", "class-agent"),
        ("a" * 64, "a" * 64 + "-agent"),
    ],
)
def test_agent_package_is_named_after_the_agent(tmp_path: Path, agent: str, package: str) -> None:
    result = runner.invoke(app, ["agent", "new", agent, "--dir", str(tmp_path)])

    assert result.exit_code == 0, result.stderr
    assert package_name(agent) == package
    module = package.replace("-", "_")
    assert files_in(tmp_path) == sorted(
        f"{package}/{name}"
        for name in ("README.md", "pyproject.toml", f"{module}.py", f"test_{module}.py")
    )
    project = tomllib.loads((tmp_path / package / "pyproject.toml").read_text())["project"]
    assert project["name"] == package
    assert project["entry-points"]["mamba.agents"] == {agent: module}
    source = (tmp_path / package / f"{module}.py").read_text()
    compile(source, module, "exec")
    assert f'@register_agent("{agent}"' in source
    assert f"def {module}(" in source


def test_agent_package_does_not_mention_the_example() -> None:
    for name, text in package_files("weather").items():
        assert "billing" not in (name + text).lower()


@pytest.mark.parametrize("name", ["Weather", "my agent", "2fast", "../up", "", "ä", "a" * 65])
def test_invalid_agent_name_is_reported(tmp_path: Path, name: str) -> None:
    result = runner.invoke(app, ["agent", "new", name, "--dir", str(tmp_path)])

    assert result.exit_code == 2
    assert f"The agent name {name!r} is invalid." in result.stderr
    assert "lowercase letters" in result.stderr
    assert files_in(tmp_path) == []


@pytest.mark.parametrize("name", ["chat", "research", "code_review"])
def test_name_of_a_built_in_agent_is_refused(tmp_path: Path, name: str) -> None:
    result = runner.invoke(app, ["agent", "new", name, "--dir", str(tmp_path)])

    assert result.exit_code == 2
    assert "built-in agent" in result.stderr


def test_existing_agent_package_is_not_changed(tmp_path: Path) -> None:
    (tmp_path / "weather-agent").mkdir()

    result = runner.invoke(app, ["agent", "new", "weather", "--dir", str(tmp_path)])

    assert result.exit_code == 1
    assert str(tmp_path / "weather-agent") in result.stderr
    assert files_in(tmp_path) == []


def test_every_file_of_the_example_is_in_the_template() -> None:
    example = ROOT / "examples/python-agent"
    caches = {"__pycache__", ".pytest_cache"}

    files = [name for name in files_in(example) if caches.isdisjoint(Path(name).parts)]

    assert files == sorted(package_files("billing"))
