import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from shared.errors import SettingsError
from shared.settings import Settings, load_settings

KEY = "sk-very-secret-0123456789"
OTHER_KEY = "sk-another-0123456789abc"


class Folder:
    """The folder of the settings files. The environment is the only other source."""

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
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return Folder(tmp_path)


def key_of(settings: Settings) -> str | None:
    secret = settings.openai.api_key
    return secret.get_secret_value() if secret else None


# Sources


def test_defaults_apply_without_sources() -> None:
    settings = load_settings()

    assert settings.server.port == 8000
    assert settings.redis.url == "redis://localhost:6379/0"
    assert key_of(settings) is None


def test_each_source_overrides_lower_sources(
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


def test_variable_sets_a_whole_section_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAMBA_SERVER", '{"port": 1, "host": "json"}')
    monkeypatch.setenv("MAMBA_SERVER__PORT", "2")

    server = load_settings().server

    assert (server.port, server.host) == (2, "json")


def test_empty_variable_counts_as_unset(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.common("server: {port: 1}")
    monkeypatch.setenv("MAMBA_SERVER__PORT", "")
    monkeypatch.setenv("OPENAI_API_KEY", "")

    settings = load_settings()

    assert settings.server.port == 1
    assert key_of(settings) is None


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "server: {}\n"])
def test_empty_file_changes_nothing(folder: Folder, text: str) -> None:
    folder.common(text)
    folder.env("")

    assert load_settings() == Settings()


def test_missing_home_folder_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Path) -> Path:
        raise RuntimeError

    monkeypatch.setattr(Path, "expanduser", fail)

    assert load_settings() == Settings()


def test_env_file_in_the_home_folder_is_read(folder: Folder) -> None:
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


# Variables of OpenAI clients


def test_openai_variables_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_API_BASE_URL", "http://localhost:11434/v1")

    settings = load_settings()

    assert key_of(settings) == KEY
    assert settings.openai.base_url == "http://localhost:11434/v1"


def test_openai_variables_are_read_from_the_env_file(folder: Folder) -> None:
    folder.env(f"OPENAI_API_KEY={KEY}", "OPENAI_API_BASE_URL=http://localhost/v1", "PATH_X=1")

    settings = load_settings()

    assert key_of(settings) == KEY
    assert settings.openai.base_url == "http://localhost/v1"


def test_mamba_variables_override_openai_variables(
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


# Tables and lists


def test_providers_are_merged_from_files_and_the_environment(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.common("providers: {groq: {base_url: 'http://common/v1', models: [a]}}")
    folder.local("providers: {groq: {models: [b, c]}, local: {base_url: 'http://local/v1'}}")
    folder.env("MAMBA_PROVIDERS__GROQ__PROFILE__IMAGES=false")
    monkeypatch.setenv("MAMBA_PROVIDERS__GROQ__BASE_URL", "http://env/v1")
    monkeypatch.setenv("MAMBA_PROVIDERS__GROQ__HEADERS", '{"X-Team": "a"}')

    providers = load_settings().providers

    assert sorted(providers) == ["groq", "local"]
    groq = providers["groq"]
    assert (groq.base_url, groq.models, groq.profile.images) == (
        "http://env/v1",
        ("b", "c"),
        False,
    )
    assert groq.headers["X-Team"].get_secret_value() == "a"


def test_model_names_in_fallbacks_keep_their_case(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.common("models: {fallbacks: {openai/gpt-4o: [groq/Llama-3]}}")
    monkeypatch.setenv("MAMBA_MODELS__FALLBACKS", '{"openai/GPT-5": ["openai/gpt-4o"]}')

    assert load_settings().models.fallbacks == {
        "openai/gpt-4o": ("groq/Llama-3",),
        "openai/GPT-5": ("openai/gpt-4o",),
    }


def test_list_replaces_the_list_of_a_lower_source(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.common(f"auth: {{api_keys: [{{name: a, key: {KEY}}}, {{name: b, key: {OTHER_KEY}}}]}}")
    monkeypatch.setenv("MAMBA_AUTH__API_KEYS", f'[{{"name": "c", "key": "{KEY}"}}]')

    assert [key.name for key in load_settings().auth.api_keys] == ["c"]


def test_variable_sets_one_item_of_a_list(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.common(f"auth: {{api_keys: [{{name: a}}, {{name: b, key: {OTHER_KEY}}}]}}")
    monkeypatch.setenv("MAMBA_AUTH__API_KEYS__0__KEY", KEY)

    first, second = load_settings().auth.api_keys

    assert first.key
    assert first.key.get_secret_value() == KEY
    assert (first.name, second.name) == ("a", "b")


@pytest.mark.parametrize("name", ["Groq", "a.b", "a b", "openai"])
def test_invalid_provider_name_names_its_source(folder: Folder, name: str) -> None:
    folder.common(f"providers: {{'{name}': {{base_url: 'http://x/v1'}}}}")

    with pytest.raises(SettingsError, match=rf"providers\.{name}: .*config/config\.yaml"):
        load_settings()


# Renamed settings


def test_renamed_settings_are_read_from_every_source(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.common("server: {timeout_seconds: 7}")
    folder.local("openai: {model: m}")
    folder.env(f"MAMBA_AUTH__API_KEY={KEY}")
    settings = load_settings()
    [key] = settings.auth.api_keys

    assert settings.run.timeout_seconds == 7
    assert settings.openai.default_model == "m"
    assert (key.name, key.key and key.key.get_secret_value()) == ("default", KEY)

    monkeypatch.setenv("MAMBA_OPENAI__MODEL", "n")
    assert load_settings().openai.default_model == "n"


def test_renamed_setting_overrides_a_lower_source(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.common("openai: {default_model: low}")
    monkeypatch.setenv("MAMBA_OPENAI__MODEL", "high")

    assert load_settings().openai.default_model == "high"


def test_both_names_in_one_source_are_rejected(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.common("openai: {model: a, default_model: b}")
    monkeypatch.setenv("MAMBA_SERVER__TIMEOUT_SECONDS", "1")
    monkeypatch.setenv("MAMBA_RUN__TIMEOUT_SECONDS", "2")

    assert problems() == [
        (
            "openai.model: is another name of openai.default_model. Both are set."
            " Keep openai.default_model. (config/config.yaml)"
        ),
        (
            "server.timeout_seconds: is another name of MAMBA_RUN__TIMEOUT_SECONDS. Both are set."
            " Keep MAMBA_RUN__TIMEOUT_SECONDS. (MAMBA_SERVER__TIMEOUT_SECONDS)"
        ),
    ]


# Problems


def problems() -> list[str]:
    with pytest.raises(SettingsError) as raised:
        load_settings()
    first, *lines = str(raised.value).splitlines()
    assert first == "The settings are invalid:"
    return [line.removeprefix("  ") for line in lines]


def test_unknown_keys_are_reported_with_source_and_suggestion(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.common("redis: {ur: 1}\nservr: {port: 1}")
    folder.local("port: 1\nauth: {api_keys: [{nam: a}]}\nnonsense: {}")
    folder.env("MAMBA_RUN__RETRIES=1")
    monkeypatch.setenv("MAMBA_SERVER__PRT", "1")
    monkeypatch.setenv("MAMBA_PROVIDERS__GROQ__BASE_ULR", "http://x")
    monkeypatch.setenv("MAMBA_SERVER", '{"hots": "x"}')

    assert problems() == [
        (
            "MAMBA_PROVIDERS__GROQ__BASE_ULR: unknown setting; did you mean"
            " MAMBA_PROVIDERS__GROQ__BASE_URL?"
        ),
        ("MAMBA_RUN__RETRIES: unknown setting; did you mean MAMBA_RUN__MAX_RETRIES? (~/mamba.env)"),
        "MAMBA_SERVER__PRT: unknown setting; did you mean MAMBA_SERVER__PORT?",
        (
            "auth.api_keys.0.nam: unknown setting; did you mean auth.api_keys.0.name?"
            " (config.local.yaml)"
        ),
        "auth.api_keys.0.name: Field required (config.local.yaml)",
        "nonsense: unknown setting (config.local.yaml)",
        "port: unknown setting; did you mean server.port? (config.local.yaml)",
        "redis.ur: unknown setting; did you mean redis.url? (config/config.yaml)",
        "server.hots: unknown setting; did you mean server.host? (MAMBA_SERVER)",
        "servr: unknown setting; did you mean server? (config/config.yaml)",
    ]


def test_conflicting_settings_are_reported_with_their_source(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MAMBA_PROVIDERS__GROQ__API_KEY", "k")

    [problem] = problems()
    assert problem.startswith("providers.groq.base_url: The base URL is missing. Set it;")
    assert problem.endswith("(MAMBA_PROVIDERS__GROQ__API_KEY)")


def test_invalid_values_are_reported_with_their_source(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.common("logging: {level: LOUD}")
    folder.env("MAMBA_RUN__TIMEOUT_SECONDS=0")
    monkeypatch.setenv("MAMBA_SERVER__PORT", "70000")
    monkeypatch.setenv("MAMBA_SERVER__CORS_ORIGINS", "[1")

    assert problems() == [
        "logging.level: Input should be 'DEBUG', 'INFO', 'WARNING' or 'ERROR' (config/config.yaml)",
        (
            "run.timeout_seconds: Input should be greater than or equal to 0.001"
            " (MAMBA_RUN__TIMEOUT_SECONDS in ~/mamba.env)"
        ),
        (
            "server.cors_origins: must be JSON (syntax error at character 3)"
            " (MAMBA_SERVER__CORS_ORIGINS)"
        ),
        "server.port: Input should be less than or equal to 65535 (MAMBA_SERVER__PORT)",
    ]


@pytest.mark.parametrize("text", ["server: [1", "\x00", "server: {port: 1}: 2", f"a: *{KEY}"])
def test_unreadable_file_is_named_but_not_quoted(folder: Folder, text: str) -> None:
    folder.common(text)
    folder.local("servr: {}")

    common, local = problems()

    assert common.startswith("config/config.yaml: cannot be read: ")
    assert local.startswith("servr: ")
    assert KEY not in common


@pytest.mark.parametrize("text", ["- 1", "just words", "7"])
def test_file_without_sections_is_rejected(folder: Folder, text: str) -> None:
    folder.common(text)

    [line] = problems()

    assert line.startswith("config/config.yaml: must contain sections")


LAUGHS = "\n".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("server:\n  port: 1\n  port: 2", "line 3, column 3: duplicate key"),
        ("server:\n  port: 1\nserver:\n  host: a", "line 3, column 1: duplicate key"),
        ("server: &a\n  port: *a", "a value contains itself"),
        (f"a0: &a0 [x]\n{LAUGHS}", "too many values"),
        ("server: " + "[" * 5000 + "]" * 5000, "config.local.yaml: cannot be read"),
    ],
    ids=["a key", "a section", "itself", "laughs", "deep"],
)
def test_duplicate_or_recursive_yaml_is_rejected(folder: Folder, text: str, reason: str) -> None:
    folder.local(text)

    with pytest.raises(SettingsError, match=reason):
        load_settings()


def test_anchors_and_merges_are_read(folder: Folder) -> None:
    folder.local(
        "server: &a {port: 1, host: a}\n"
        "run: {timeout_seconds: &s 7}\n"
        "health: {timeout_seconds: *s}\n"
    )
    folder.common("server:\n  <<: {port: 2, workers: 3}\n  workers: 4\n")

    settings = load_settings()

    assert (settings.server.port, settings.server.workers) == (1, 4)
    assert (settings.run.timeout_seconds, settings.health.timeout_seconds) == (7, 7)


@pytest.mark.parametrize("seconds", [".inf", ".nan", "1e999"])
def test_infinite_duration_is_rejected(folder: Folder, seconds: str) -> None:
    folder.local(f"run: {{timeout_seconds: {seconds}}}\nworker: {{drain_seconds: {seconds}}}")

    with pytest.raises(SettingsError, match=r"run\.timeout_seconds.*\n.*worker\.drain_seconds"):
        load_settings()


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("MAMBA_REDIS__URL", "redis://:pw9/x@host/0"),
        ("MAMBA_REDIS__URL", "redis://host:port"),
        ("MAMBA_REDIS__URL", "redis://[::1"),
        ("MAMBA_OPENAI__BASE_URL", "https://host:99999/v1"),
        ("MAMBA_PROVIDERS__X__BASE_URL", "http://u:pw9#x@host/v1"),
    ],
)
def test_malformed_address_is_named_but_not_quoted(
    monkeypatch: pytest.MonkeyPatch, name: str, address: str
) -> None:
    monkeypatch.setenv(name, address)

    with pytest.raises(SettingsError, match=rf"%2F .*\({name}\)") as raised:
        load_settings()
    assert "pw9" not in str(raised.value)


def test_address_accepts_several_hosts_with_ports(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url = "sentinel://u:pw@one:26379,two:26380,[::1]:26381/mymaster/0"
    monkeypatch.setenv("MAMBA_REDIS__URL", url)

    assert load_settings().redis.url == url

    monkeypatch.setenv("MAMBA_REDIS__URL", "sentinel://one:26379,two:port/mymaster")
    with pytest.raises(SettingsError, match="The address is malformed"):
        load_settings()


@pytest.mark.parametrize(
    ("name", "url", "expected"),
    [
        ("URL", "cluster://one:6379", "The queue does not support Redis Cluster"),
        ("STREAMS_URL", "cluster://one:6379/1", "without a database"),
        ("STREAMS_URL", "cluster://one:6379?db=1", "no database"),
        ("STREAMS_URL", "one:6379", "Use cluster://"),
        ("STREAMS_URL", "cluster://one:port", "The address is malformed"),
    ],
)
def test_cluster_address_is_streams_only_without_database(
    monkeypatch: pytest.MonkeyPatch, name: str, url: str, expected: str
) -> None:
    monkeypatch.setenv(f"MAMBA_REDIS__{name}", url)

    with pytest.raises(SettingsError, match=expected):
        load_settings()


@pytest.mark.parametrize("name", ["URL", "STREAMS_URL"])
@pytest.mark.parametrize("parameter", ["nonsense", "max_connections", "socket_timeout"])
def test_unsupported_url_parameter_is_named(
    monkeypatch: pytest.MonkeyPatch, name: str, parameter: str
) -> None:
    url = f"redis://u:pw9@one?{parameter}=some"
    monkeypatch.setenv(f"MAMBA_REDIS__{name}", url.replace("some", "4" if "max" in url else "some"))

    with pytest.raises(SettingsError, match=rf"{parameter}.*MAMBA_REDIS__{name}") as raised:
        load_settings()
    assert "pw9" not in str(raised.value)


@pytest.mark.parametrize(
    "url", ["clusters://u:p@one:1,two:2/0?ssl_ca_certs=/dev/null", "redis://one"]
)
def test_streams_url_accepts_another_redis(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("MAMBA_REDIS__STREAMS_URL", url)

    assert load_settings().redis.streams_url == url


def test_folder_instead_of_file_is_reported(folder: Folder) -> None:
    (folder.path / "config.local.yaml").mkdir()
    (folder.path / "mamba.env").write_bytes(b"\xff")

    assert problems() == [
        "config.local.yaml: cannot be read: Is a directory",
        "~/mamba.env: cannot be read: it is not UTF-8 text; save it as UTF-8",
    ]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MAMBA_ROOT_PREFIX", "/opt/micromamba"),
        ("MAMBA_EXE", "/opt/micromamba/bin/mamba"),
        ("MAMBA_API_PORT_8000_TCP", "tcp://10.0.0.1:8000"),
        ("MAMBA_SERVER_PORT", "tcp://10.0.0.1:8000"),
        ("MAMBA_SERVER_SERVICE_HOST", "10.0.0.1"),
        ("OTHER_SERVER__PORT", "1"),
    ],
)
def test_variable_of_another_program_is_ignored(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)

    assert load_settings() == Settings()


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [
        ("MAMBA_SERVER_PORT", "MAMBA_SERVER__PORT"),
        ("MAMBA_AUTH__JWT_ISSUER", "MAMBA_AUTH__JWT__ISSUER"),
        ("MAMBA__SERVER__PORT", "MAMBA_SERVER__PORT"),
        ("MAMBA_PROT__SERVER", None),
    ],
)
def test_misplaced_underscore_is_reported_with_suggestion(
    monkeypatch: pytest.MonkeyPatch, name: str, suggestion: str | None
) -> None:
    monkeypatch.setenv(name, "1")

    hint = f"; did you mean {suggestion}?" if suggestion else ""
    assert problems() == [f"{name}: unknown setting{hint}"]


# Secrets


def test_settings_repr_hides_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)

    settings = load_settings()

    for text in (
        repr(settings),
        str(settings),
        str(settings.model_dump()),
        settings.model_dump_json(),
    ):
        assert KEY not in text
    assert "**********" in repr(settings)


@pytest.mark.parametrize(
    "name", ["OPENAI_API_KEY", "MAMBA_OPENAI", "MAMBA_OPENAI__DEMO", "MAMBA_SERVER__PORT__X"]
)
def test_error_does_not_show_a_secret(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, f'{{"api_key": ["{KEY}"]')
    monkeypatch.setenv("MAMBA_SERVER__PORT", "70000")

    with pytest.raises(SettingsError) as raised:
        load_settings()

    assert KEY not in str(raised.value)
    assert raised.value.__suppress_context__


def test_settings_are_frozen() -> None:
    settings = load_settings()

    with pytest.raises(ValidationError, match="frozen"):
        settings.server.port = 1
