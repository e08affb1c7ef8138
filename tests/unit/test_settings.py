import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from shared.errors import SettingsError
from shared.settings import Settings, load_settings

KEY = "sk-very-secret"


class Folder:
    """Where the settings' files are: the only sources a test has, beside the environment."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def env(self, *lines: str) -> None:
        (self.path / "mamba.env").write_text("\n".join(lines))

    def local(self, text: str) -> None:
        (self.path / "config.local.yaml").write_text(text)

    def common(self, text: str) -> None:
        (self.path / "config").mkdir(exist_ok=True)
        (self.path / "config" / "config.yaml").write_text(text)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    for name in list(os.environ):
        if name.startswith(("MAMBA_", "OPENAI_")):
            monkeypatch.delenv(name)
    monkeypatch.setitem(Settings.model_config, "env_file", tmp_path / "mamba.env")
    monkeypatch.chdir(tmp_path)
    return Folder(tmp_path)


def key_of(settings: Settings) -> str | None:
    secret = settings.openai.api_key
    return secret.get_secret_value() if secret else None


# Sources


def test_without_any_source_the_defaults_hold() -> None:
    settings = load_settings()

    assert settings.server.port == 8000
    assert settings.redis.url == "redis://localhost:6379/0"
    assert key_of(settings) is None


def test_each_source_overrides_those_below_it(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    ports: list[int] = [load_settings().server.port]

    folder.common("server: {port: 1}")
    ports.append(load_settings().server.port)
    folder.local("server: {port: 2}")
    ports.append(load_settings().server.port)
    folder.env("MAMBA_SERVER__PORT=3")
    ports.append(load_settings().server.port)
    monkeypatch.setenv("MAMBA_SERVER__PORT", "4")
    ports.append(load_settings().server.port)

    assert ports == [8000, 1, 2, 3, 4]


def test_sources_are_merged_key_by_key(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.common("server: {port: 1, host: common}\nlogging: {level: ERROR}")
    folder.local("server: {host: local}")
    folder.env("MAMBA_RUN__MAX_RETRIES=7")
    monkeypatch.setenv("MAMBA_SERVER__HEARTBEAT_SECONDS", "2.5")

    settings = load_settings()

    assert (settings.server.port, settings.server.host) == (1, "local")
    assert settings.server.heartbeat_seconds == 2.5
    assert settings.logging.level == "ERROR"
    assert settings.run.max_retries == 7


def test_a_section_may_come_whole_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAMBA_SERVER", '{"port": 1, "host": "json"}')
    monkeypatch.setenv("MAMBA_SERVER__PORT", "2")

    server = load_settings().server

    assert (server.port, server.host) == (2, "json")


def test_an_empty_variable_is_not_set(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.common("server: {port: 1}")
    monkeypatch.setenv("MAMBA_SERVER__PORT", "")
    monkeypatch.setenv("OPENAI_API_KEY", "")

    settings = load_settings()

    assert settings.server.port == 1
    assert key_of(settings) is None


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "server: {}\n"])
def test_an_empty_file_says_nothing(folder: Folder, text: str) -> None:
    folder.common(text)
    folder.env("")

    assert load_settings() == Settings()


def test_the_file_in_the_home_folder_is_read(folder: Folder) -> None:
    folder.env("MAMBA_SERVER__PORT=1234")
    program = "from shared.settings import load_settings; print(load_settings().server.port)"

    printed = subprocess.run(
        [sys.executable, "-c", program],
        check=True,
        capture_output=True,
        cwd=folder.path,
        env={"PATH": os.environ["PATH"], "HOME": str(folder.path)},
        text=True,
    ).stdout

    assert printed == "1234\n"


# OpenAI's own names


def test_openais_own_variables_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_API_BASE_URL", "http://localhost:11434/v1")

    settings = load_settings()

    assert key_of(settings) == KEY
    assert settings.openai.base_url == "http://localhost:11434/v1"


def test_openais_own_names_are_read_from_the_file_too(folder: Folder) -> None:
    folder.env(f"OPENAI_API_KEY={KEY}", "OPENAI_API_BASE_URL=http://localhost/v1", "PATH_X=1")

    settings = load_settings()

    assert key_of(settings) == KEY
    assert settings.openai.base_url == "http://localhost/v1"


def test_ours_goes_before_openais_and_the_environment_before_files(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys: list[str | None] = []

    folder.common("openai: {api_key: yaml}")
    keys.append(key_of(load_settings()))
    folder.env("OPENAI_API_KEY=file-openai")
    keys.append(key_of(load_settings()))
    folder.env("OPENAI_API_KEY=file-openai", "MAMBA_OPENAI__API_KEY=file-mamba")
    keys.append(key_of(load_settings()))
    monkeypatch.setenv("OPENAI_API_KEY", "env-openai")
    keys.append(key_of(load_settings()))
    monkeypatch.setenv("MAMBA_OPENAI__API_KEY", "env-mamba")
    keys.append(key_of(load_settings()))

    assert keys == ["yaml", "file-openai", "file-mamba", "env-openai", "env-mamba"]


# Mistakes


def test_an_unknown_key_is_named(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.common("redis: {ur: 1}")
    folder.env("MAMBA_RUN__RETRIES=1")
    monkeypatch.setenv("MAMBA_SERVER__PRT", "1")

    with pytest.raises(SettingsError) as raised:
        load_settings()

    for key in ("redis.ur", "run.retries", "server.prt"):
        assert f"  {key}: Extra inputs are not permitted" in str(raised.value)


def test_an_unknown_section_of_a_file_is_named(folder: Folder) -> None:
    folder.local("servr: {port: 1}")

    with pytest.raises(SettingsError, match=r"^config\.local\.yaml has unknown sections: servr$"):
        load_settings()


def test_every_wrong_value_is_named_with_what_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAMBA_SERVER__PORT", "70000")
    monkeypatch.setenv("MAMBA_LOGGING__LEVEL", "LOUD")
    monkeypatch.setenv("MAMBA_RUN__TIMEOUT_SECONDS", "0")

    with pytest.raises(SettingsError) as raised:
        load_settings()

    first, *lines = str(raised.value).splitlines()
    assert first == "The settings are wrong:"
    assert sorted(lines) == [
        "  logging.level: Input should be 'DEBUG', 'INFO', 'WARNING' or 'ERROR'",
        "  run.timeout_seconds: Input should be greater than 0",
        "  server.port: Input should be less than or equal to 65535",
    ]


@pytest.mark.parametrize(
    "text", ["server: [1", "- 1", "just words", "1: 2", "\x00", "server: {port: 1}: 2"]
)
def test_a_file_that_cannot_be_read_is_named(folder: Folder, text: str) -> None:
    folder.common(text)

    with pytest.raises(SettingsError, match=r"^config/config\.yaml cannot be read: "):
        load_settings()


def test_a_section_that_is_no_json_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAMBA_SERVER", '{"port": 1')

    with pytest.raises(SettingsError, match=r'wrong:\n .*"server"'):
        load_settings()


def test_a_variable_of_another_program_is_no_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAMBA_ROOT_PREFIX", "/opt/micromamba")

    load_settings()


# Secrets


def test_a_secret_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)

    settings = load_settings()

    for shown in (
        repr(settings),
        str(settings),
        str(settings.model_dump()),
        settings.model_dump_json(),
    ):
        assert KEY not in shown
    assert "**********" in repr(settings)


@pytest.mark.parametrize("name", ["OPENAI_API_KEY", "MAMBA_OPENAI", "MAMBA_OPENAI__DEMO"])
def test_a_secret_is_not_shown_by_a_mistake(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, f'{{"api_key": ["{KEY}"]')
    monkeypatch.setenv("MAMBA_SERVER__PORT", "70000")

    with pytest.raises(SettingsError) as raised:
        load_settings()

    assert KEY not in str(raised.value)
    assert raised.value.__suppress_context__


def test_settings_do_not_change() -> None:
    settings = load_settings()

    with pytest.raises(ValidationError, match="frozen"):
        settings.server.port = 1
