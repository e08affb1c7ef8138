import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from mamba.cli import app
from shared.api_key import hash_of
from shared.telemetry.metrics_folder import METRICS_FOLDER

runner = CliRunner()


def python(*arguments: str, home: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run Python isolated from the settings files and variables of this machine."""
    inherited = {"PATH": os.environ["PATH"], "HOME": str(home)}
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        check=False,
        cwd=home,
        env=inherited | variables,
        text=True,
        timeout=60,
    )


def test_help_lists_every_command() -> None:
    result = runner.invoke(app, ["--help"])

    assert result.exit_code == 0
    for expected in ("dev", "api", "worker", "queue", "run", "doctor", "--version", "mamba dev"):
        assert expected in result.output


@pytest.mark.parametrize("command", ["", "run", "chat", "queue", "webhook", "worker", "agent"])
def test_help_lists_commands_with_whole_sentences(command: str) -> None:
    commands = runner.invoke(app, [*command.split(), "--help"]).output.partition("Commands:")[2]

    assert commands
    assert "..." not in commands


def test_no_command_prints_help() -> None:
    assert runner.invoke(app, []).output == runner.invoke(app, ["--help"]).output


COMMANDS = [
    *("dev", "api", "worker", "config", "key", "init", "agent new", "queue", "doctor"),
    *("run", "run show", "run stop", "run requeue", "run move-to-front"),
    *("worker list", "worker drain"),
]


@pytest.mark.parametrize("command", COMMANDS)
def test_command_help_has_an_example(command: str) -> None:
    result = runner.invoke(app, [*command.split(), "--help"])

    assert result.exit_code == 0
    assert "Example" in result.output
    assert f"mamba {command}" in result.output


def test_version_option_prints_package_version() -> None:
    result = runner.invoke(app, ["--version"])

    assert result.exit_code == 0
    assert result.output == f"mamba-server {version('mamba-server')}\n"


def test_unknown_command_is_a_usage_error() -> None:
    result = runner.invoke(app, ["serve"])

    assert result.exit_code == 2
    assert "serve" in result.stderr


@pytest.mark.parametrize("arguments", [["dev"], ["api"], ["worker"], ["config"], []])
def test_wrong_settings_are_reported_without_a_traceback(
    arguments: list[str], tmp_path: Path
) -> None:
    """`python -m mamba` without a command serves the API, so it reads the settings too."""
    result = python("-m", "mamba", *arguments, home=tmp_path, MAMBA_SERVER__PORT="many")

    assert result.returncode == 2
    assert result.stdout == ""
    assert "server.port" in result.stderr
    assert "Traceback" not in result.stderr


#: `mamba worker` that prints how many processes it would run. Several end with exit code 7.
COUNTING = """
import sys, types
from mamba.supervisor import worker_replicas
sys.modules["worker.process"] = types.SimpleNamespace(serve=lambda settings: print(1))
worker_replicas.serve = lambda settings, processes: print(processes) or 7
sys.argv = ["mamba", "worker", *sys.argv[1:]]
from mamba.cli import main
main()
"""


@pytest.mark.parametrize(
    ("setting", "options", "expected"),
    [
        ("1", [], ("1\n", 0)),
        ("3", [], ("3\n", 7)),
        ("3", ["--processes", "2"], ("2\n", 7)),
        ("3", ["--processes", "1"], ("1\n", 0)),
    ],
)
def test_worker_processes_come_from_option_or_setting(
    setting: str, options: list[str], expected: tuple[str, int], tmp_path: Path
) -> None:
    result = python("-c", COUNTING, *options, home=tmp_path, MAMBA_WORKER__PROCESSES=setting)

    assert (result.stdout, result.returncode) == expected, result.stderr


def test_worker_process_count_below_one_is_reported(tmp_path: Path) -> None:
    option = runner.invoke(app, ["worker", "--processes", "0"])
    setting = python("-m", "mamba", "worker", home=tmp_path, MAMBA_WORKER__PROCESSES="0")

    assert (option.exit_code, setting.returncode) == (2, 2)
    assert "--processes" in option.stderr
    assert "worker.processes" in setting.stderr


def test_processes_option_is_refused_for_subcommands() -> None:
    result = runner.invoke(app, ["worker", "--processes", "2", "list"])

    assert result.exit_code == 2
    assert "applies only to" in result.stderr


@pytest.mark.parametrize(("command", "package"), [("api", "fastapi"), ("worker", "pydantic_ai")])
def test_missing_extra_is_reported(command: str, package: str, tmp_path: Path) -> None:
    without_package = (
        f"import sys; sys.modules[{package!r}] = None; sys.argv = ['mamba', {command!r}];"
        "from mamba.cli import main; main()"
    )

    result = python("-c", without_package, home=tmp_path)

    assert result.returncode == 2
    assert f"install mamba-server[{command}]" in result.stderr
    assert "Traceback" not in result.stderr


def test_command_creates_the_metrics_folder(tmp_path: Path) -> None:
    folder, redis = tmp_path / "new" / "metrics", "redis://127.0.0.1:1"
    variables = {METRICS_FOLDER: str(folder), "MAMBA_REDIS__URL": redis}

    result = python("-m", "mamba", "queue", home=tmp_path, **variables)

    assert folder.is_dir()
    assert "127.0.0.1:1" in result.stdout + result.stderr
    assert "Traceback" not in result.stderr


def test_unusable_metrics_folder_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    result = runner.invoke(app, ["queue"], env={METRICS_FOLDER: str(tmp_path / "file")})

    assert result.exit_code == 2
    [line] = result.stderr.splitlines()
    assert line.startswith(f"{METRICS_FOLDER}: ")


def test_dev_without_valkey_suggests_a_fix(tmp_path: Path) -> None:
    without_valkey = (
        "import importlib.util as util; util.find_spec = lambda name: None;"
        "import sys; sys.argv = ['mamba', 'dev'];"
        "from mamba.cli import main; main()"
    )

    result = python("-c", without_valkey, home=tmp_path)

    assert result.returncode == 2
    assert "MAMBA_REDIS__URL" in result.stderr
    assert "mamba-server[dev]" in result.stderr
    assert "Traceback" not in result.stderr


def test_importing_main_does_not_build_the_app(tmp_path: Path) -> None:
    result = python(
        "-c",
        "import sys, mamba.main; print('fastapi' in sys.modules)",
        home=tmp_path,
        MAMBA_SERVER__PORT="many",
    )

    assert result.stdout == "False\n", result.stderr


def test_cluster_modules_are_not_imported_without_a_cluster(tmp_path: Path) -> None:
    result = python(
        "-c",
        "import sys, mamba.main, worker.process; mamba.main.app;"
        "print([name for name in sys.modules if 'cluster' in name and name[:6] == 'shared'])",
        home=tmp_path,
    )

    assert result.stdout == "[]\n", result.stderr


def test_app_is_built_once(tmp_path: Path) -> None:
    result = python(
        "-c",
        "import mamba.main; app = mamba.main.app; print(type(app).__name__, app is mamba.main.app)",
        home=tmp_path,
    )

    assert result.stdout == "FastAPI True\n", result.stderr


def test_key_prints_settings_that_accept_the_key(tmp_path: Path) -> None:
    result = python("-m", "mamba", "key", 'my "app": 1', home=tmp_path)

    key = result.stdout.strip()
    assert result.returncode == 0
    assert key.startswith("mk_")
    assert key not in result.stderr
    (tmp_path / "config.local.yaml").write_text(result.stderr)
    read = python(
        "-c",
        "from shared.settings import load_settings; auth = load_settings().auth;"
        "print(auth.mode, auth.api_keys[0].name, auth.api_keys[0].digest)",
        home=tmp_path,
    )
    assert read.stdout == f'api_key my "app": 1 {hash_of(key)}\n', read.stderr


def test_unreadable_public_key_is_reported(tmp_path: Path) -> None:
    result = python(
        "-m",
        "mamba",
        "api",
        home=tmp_path,
        MAMBA_AUTH__MODE="jwt",
        MAMBA_AUTH__JWT__PUBLIC_KEY_FILE="/nowhere.pem",
    )

    assert result.returncode == 2
    assert result.stderr == (
        "auth.jwt.public_key_file: /nowhere.pem cannot be read: No such file or directory.\n"
    )


# mamba config


SECRETS = {
    "OPENAI_API_KEY": "sk-very-secret-0123456789",
    "MAMBA_AUTH__API_KEY": "another-secret-0123456789",
    "MAMBA_REDIS__URL": "redis://user:secret-password@redis:1/0?password=secret-password",
    "MAMBA_PROVIDERS__GROQ__BASE_URL": "https://groq/v1?key=secret-password",
    "MAMBA_PROVIDERS__GROQ__HEADERS": '{"Authorization": "Bearer secret-password"}',
}


def shown(result: subprocess.CompletedProcess[str]) -> dict[str, dict[str, Any]]:
    assert result.returncode == 0, result.stderr
    return {row["key"]: row for row in json.loads(result.stdout)["settings"]}


def test_config_shows_the_source_of_each_setting(tmp_path: Path) -> None:
    (tmp_path / "config.local.yaml").write_text("limits: {messages: 7}\nopenai: {model: m}")
    (tmp_path / "mamba.env").write_text("MAMBA_TITLE__MAX_LENGTH=20")

    rows = shown(
        python("-m", "mamba", "config", "--json", home=tmp_path, MAMBA_SERVER__PORT="9000")
    )

    def row(key: str) -> tuple[object, object, object]:
        return rows[key]["value"], rows[key]["source"], rows[key]["old_name"]

    assert row("server.port") == (9000, "MAMBA_SERVER__PORT", None)
    assert row("title.max_length") == (20, "MAMBA_TITLE__MAX_LENGTH in ~/mamba.env", None)
    assert row("limits.messages") == (7, "config.local.yaml", None)
    assert row("openai.default_model") == ("m", "config.local.yaml", "openai.model")
    assert row("logging.level") == ("INFO", None, None)
    assert rows["logging.level"]["live"]
    assert not rows["server.port"]["live"]


def test_config_changed_shows_only_settings_with_a_source(tmp_path: Path) -> None:
    changed = ("-m", "mamba", "config", "--changed")

    result = python(*changed, home=tmp_path, MAMBA_SERVER__PORT="9000", MAMBA_OPENAI__MODEL="m")

    assert result.stdout == (
        "server.port           9000  MAMBA_SERVER__PORT\n"
        "openai.default_model  m     MAMBA_OPENAI__MODEL; the old name is openai.model\n"
    )
    assert python(*changed, home=tmp_path).stdout == "All settings are the defaults.\n"


def test_config_in_a_pipe_is_aligned_and_uncolored(tmp_path: Path) -> None:
    result = python("-m", "mamba", "config", home=tmp_path, MAMBA_LOGGING__LEVEL="DEBUG")

    lines = result.stdout.splitlines()
    assert "\x1b" not in result.stdout
    [level] = [line for line in lines if line.startswith("logging.level ")]
    [port] = [line for line in lines if line.startswith("server.port ")]
    assert level.index("MAMBA_LOGGING__LEVEL") == port.index("default")


@pytest.mark.parametrize("options", [[], ["--json"], ["--changed"]])
def test_config_masks_secrets(tmp_path: Path, options: list[str]) -> None:
    result = python("-m", "mamba", "config", *options, home=tmp_path, **SECRETS)

    assert result.returncode == 0, result.stderr
    assert "secret" not in result.stdout.replace("auth.jwt.secret", "")
    assert "**********" in result.stdout
    assert "redis:1/0" in result.stdout


@pytest.mark.parametrize(
    "url",
    [
        "redis://user:an@secret@redis:1/0",
        "sentinel://:secret@one:1/mamba/0?sentinel_password=secret",
        "redis://redis:1/0?db=1&password=secret",
    ],
)
def test_config_masks_passwords_in_urls(tmp_path: Path, url: str) -> None:
    result = python(
        "-m", "mamba", "config", "--changed", home=tmp_path, MAMBA_REDIS__STREAMS_URL=url
    )

    assert result.returncode == 0, result.stderr
    assert "**********" in result.stdout
    assert "secret" not in result.stdout


@pytest.mark.parametrize("query", ["foo=secret", "socket_timeout=secret", "port=1&se=cret"])
def test_unknown_redis_url_parameter_is_reported(tmp_path: Path, query: str) -> None:
    result = python("-m", "mamba", "config", home=tmp_path, MAMBA_REDIS__URL=f"redis://h?{query}")

    assert result.returncode == 2
    assert "redis.url" in result.stderr
    assert "secret" not in result.stderr


def test_config_reports_all_wrong_settings(tmp_path: Path) -> None:
    (tmp_path / "config.local.yaml").write_text("servr: {}")

    result = python("-m", "mamba", "config", home=tmp_path, MAMBA_SERVER__PORT="many", **SECRETS)

    assert result.returncode == 2
    assert result.stdout == ""
    assert "servr: unknown setting" in result.stderr
    assert "server.port: Input should be a valid integer" in result.stderr
    assert "secret" not in result.stderr
