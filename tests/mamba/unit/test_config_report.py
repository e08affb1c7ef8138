"""The settings documented in the reference are accepted from every source."""

import os
from pathlib import Path

import pytest

from shared.settings import Settings, load_settings
from tests.support.fakes.settings_files import CURRENT, HOME_FILE, KEY, PREVIOUS

VARIABLES = {
    "OPENAI_API_KEY": ("sk-x", "openai.api_key"),
    "MAMBA_OPENAI__API_KEY": ("sk-x", "openai.api_key"),
    "OPENAI_API_BASE_URL": ("http://x/v1", "openai.base_url"),
    "MAMBA_OPENAI__BASE_URL": ("http://x/v1", "openai.base_url"),
    "MAMBA_OPENAI__DEFAULT_MODEL": ("gpt-4o-mini", "openai.default_model"),
    "MAMBA_OPENAI__MODEL": ("gpt-4o-mini", "openai.default_model"),
    "MAMBA_OPENAI__TIMEOUT_SECONDS": ("7.0", "openai.timeout_seconds"),
    "MAMBA_OPENAI__MAX_RETRIES": ("5", "openai.max_retries"),
    "MAMBA_SERVER__HOST": ("0.0.0.0", "server.host"),
    "MAMBA_SERVER__PORT": ("9000", "server.port"),
    "MAMBA_SERVER__WORKERS": ("2", "server.workers"),
    "MAMBA_SERVER__TIMEOUT_SECONDS": ("7.0", "run.timeout_seconds"),
    "MAMBA_AUTH__MODE": ("api_key", "auth.mode"),
    "MAMBA_LOGGING__LEVEL": ("WARNING", "logging.level"),
    "MAMBA_LOGGING__FORMAT": ("console", "logging.format"),
    "MAMBA_LOGGING__INCLUDE_BODY": ("True", "logging.include_body"),
    "MAMBA_HEALTH__OPENAI_CHECK_ENABLED": ("False", "health.openai_check_enabled"),
    "MAMBA_HEALTH__INTERVAL_SECONDS": ("7.0", "health.interval_seconds"),
    "MAMBA_HEALTH__TIMEOUT_SECONDS": ("7.0", "health.timeout_seconds"),
    "MAMBA_TITLE__MAX_LENGTH": ("60", "title.max_length"),
    "MAMBA_TITLE__TIMEOUT_SECONDS": ("7.0", "title.timeout_seconds"),
    "MAMBA_TITLE__MODEL": ("gpt-4o-mini", "title.model"),
}


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("MAMBA_", "OPENAI_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)


def value(settings: Settings, path: str) -> object:
    found: object = settings
    for name in path.split("."):
        found = getattr(found, name)
    return getattr(found, "get_secret_value", lambda: found)()


@pytest.mark.parametrize(
    ("text", "name"), [(CURRENT, "dev-key"), (PREVIOUS, "default")], ids=["current", "earlier"]
)
def test_documented_yaml_is_accepted(text: str, name: str, tmp_path: Path) -> None:
    (tmp_path / "config.local.yaml").write_text(text)

    settings = load_settings()

    assert (settings.server.host, settings.server.port) == ("127.0.0.1", 8000)
    assert settings.openai.default_model == "gpt-4o"
    [entry] = settings.auth.api_keys
    assert settings.auth.mode == "api_key"
    assert entry.key is not None
    assert (entry.name, entry.key.get_secret_value()) == (name, KEY)


def test_documented_env_file_is_accepted(tmp_path: Path) -> None:
    (tmp_path / "mamba.env").write_text(HOME_FILE)

    settings = load_settings()

    assert settings.auth.mode == "api_key"
    assert value(settings, "openai.api_key") == "your-api-key"


@pytest.mark.parametrize("name", VARIABLES)
def test_documented_variable_sets_its_setting(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text, path = VARIABLES[name]
    assert str(value(Settings(), path)) != text

    monkeypatch.setenv(name, text)

    assert str(value(load_settings(), path)) == text


@pytest.mark.parametrize("name", VARIABLES)
def test_documented_variable_works_in_the_env_file(name: str, tmp_path: Path) -> None:
    text, path = VARIABLES[name]
    (tmp_path / "mamba.env").write_text(f"{name}={text}\n")

    assert str(value(load_settings(), path)) == text


def test_single_api_key_setting_is_one_of_the_keys(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MAMBA_AUTH__API_KEY", KEY)

    [entry] = load_settings().auth.api_keys

    assert entry.key is not None
    assert entry.key.get_secret_value() == KEY


DEFAULTS = {
    "server.port": 8000,
    "openai.default_model": "gpt-4o",
    "openai.timeout_seconds": 60,
    "run.timeout_seconds": 300,
    "run.max_retries": 3,
    "auth.mode": "none",
    "logging.level": "INFO",
}


@pytest.mark.parametrize("path", DEFAULTS)
def test_documented_defaults_match(path: str) -> None:
    assert value(load_settings(), path) == DEFAULTS[path]
