"""Wrong settings: each is reported in one line that names the setting, or works."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.errors import SettingsError
from shared.settings import Settings, load_settings
from shared.settings.names import NAME, all_keys, variable_name
from shared.telemetry.metrics_folder import METRICS_FOLDER, prepare_metrics_folder


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory and home, and no variables of Mamba."""
    for name in [*os.environ]:
        if name.upper().startswith(("MAMBA_", "OPENAI_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def problem() -> str:
    """The one line of the error."""
    with pytest.raises(SettingsError) as caught:
        load_settings()
    first, line = str(caught.value).splitlines()
    assert first == "The settings are invalid:"
    return line.strip()


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("rediss://h/0?ssl_cert_reqs=CERT_NONE", "must be one of: none, optional, required."),
        ("sentinels://h/name?ssl_cert_reqs=0", "must be one of: none, optional, required."),
        ("rediss://h/0?ssl_check_hostname=maybe", "must be one of: true, false."),
        ("rediss://h/0?ssl_ca_certs=/missing.pem", "cannot be read: No such file or directory."),
        ("rediss://h/0?ssl_certfile=/", "cannot be read: Is a directory."),
        ("redis://h/0?ssl_ca_certs=/etc/ca.pem", "It needs a URL with TLS, such as rediss://."),
        ("unix:///redis.sock?ssl_cert_reqs=none", "It needs a URL with TLS"),
        ("redis://h/0?decode_responses=true", "The parameter decode_responses cannot be set"),
        ("redis://h/0?protocol=3", "The parameter protocol cannot be set"),
        ("redis://h/0?protocol=x", "The parameter protocol cannot be set"),
        ("redis://h/0?max_connections=x", "The parameter max_connections cannot be set"),
        ("redis://h/0?connection_class=x", "The parameter connection_class cannot be set"),
        ("redis://h/0?parser_class=x", "The parameter parser_class cannot be set"),
        ("redis://h/0?retry=1", "The parameter retry cannot be set"),
        ("redis://h/0?encoding=latin-1", "The parameter encoding cannot be set"),
        ("redis://h/0?unknown", "The parameter unknown cannot be set"),
        ("redis://h/0?db=x", "The parameter db must be a number"),
        ("redis://h/0?db=-1", "The parameter db must be a number"),
        ("redis://h/cache", "The database after the last / must be a number"),
        ("redis://h/-1", "The database after the last / must be a number"),
        ("sentinel://h/name/cache", "The database after the last / must be a number"),
        ("sentinel://h", "The URL is not supported."),
        ("redis+sentinel://h/name", "The URL is not supported."),
        ("redis+cluster://h", "The URL is not supported."),
        ("h:6379", "The URL is not supported."),
        ('"redis://h/0"', "The URL is not supported."),
        ("cluster://h", "The queue does not support Redis Cluster."),
        ("redis://u:a/b@h/0", "In a password, write / # ? @ as %2F %23 %3F %40."),
        ("redis://u:a#b@h/0", "In a password, write / # ? @ as %2F %23 %3F %40."),
        ("redis://h:port/0", "The address is malformed."),
        ("redis://h:99999/0", "The address is malformed."),
        ("redis://[::1/0", "The address is malformed."),
        ("redis://h\u200b/0", "The address contains a character that does not belong"),
        ("redis://h /0", "The address contains a character that does not belong"),
    ],
)
def test_wrong_redis_url_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, url: str, reason: str
) -> None:
    monkeypatch.setenv("MAMBA_REDIS__URL", url)

    line = problem()

    assert line.startswith("redis.url: ")
    assert reason in line
    assert line.endswith("(MAMBA_REDIS__URL)")


@pytest.mark.parametrize(
    "url",
    [
        "cluster://h?decode_responses=true",
        "clusters://h?ssl_cert_reqs=CERT_NONE",
        "cluster://h?db=x",
        "redis://h?decode_responses=1",
    ],
)
def test_wrong_streams_url_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("MAMBA_REDIS__STREAMS_URL", url)

    assert problem().startswith("redis.streams_url: The parameter ")


@pytest.mark.parametrize(
    "url",
    [
        "redis://",
        "redis://u:p%2Fw@[::1]:6379/15",
        "redis://h?db=3",
        "redis://h/0?username=u&password=p",
        "rediss://h/0?ssl_cert_reqs=none&ssl_check_hostname=False",
        "unix:///redis.sock?db=2",
        "sentinels://a:1,b/name/2?ssl_cert_reqs=required&sentinel_password=p",
        "  redis://h/0\r",
    ],
)
def test_valid_redis_url_is_accepted(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("MAMBA_REDIS__URL", url)

    assert load_settings().redis.url == url.strip()


@pytest.mark.parametrize(
    ("variables", "start"),
    [
        ({"MAMBA_RUN__RETENTION_SECONDS": "0.0001"}, "run.retention_seconds: "),
        ({"MAMBA_RUN__LIVE_TTL_SECONDS": "1e300"}, "run.live_ttl_seconds: "),
        ({"MAMBA_WORKER__CONCURRENCY": "9" * 30}, "worker.concurrency: "),
        ({"MAMBA_SERVER__HOST": "\udcff"}, "server.host: must be valid UTF-8 text."),
        ({"MAMBA_SERVER": "[" * 100_000}, "server: must be JSON"),
        ({"MAMBA_AUTH__API_KEYS": "[" * 100_000}, "auth.api_keys: must be JSON"),
        ({"MAMBA_SERVER__PORT": '"80"'}, "server.port: "),
        ({"MAMBA_AUTH__API_KEYS__X__NAME": "a"}, "MAMBA_AUTH__API_KEYS__X__NAME: unknown setting"),
        ({"MAMBA_SERVR__PORT": "1"}, "MAMBA_SERVR__PORT: unknown setting; did you mean MAMBA_SE"),
    ],
)
def test_wrong_variable_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, variables: Mapping[str, str], start: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    line = problem()

    assert line.startswith(start)
    assert next(iter(variables)) in line


def test_white_space_around_a_variable_is_ignored(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAMBA_SERVER__PORT", " 81\r")
    monkeypatch.setenv("MAMBA_SERVER__HOST", "  ")
    monkeypatch.setenv("MAMBA_LOGGING__LEVEL", "debug ")
    (folder / "mamba.env").write_bytes(b"\xef\xbb\xbfMAMBA_RUN__MAX_STEPS=7\r\n")

    loaded = load_settings()

    assert (loaded.server.port, loaded.server.host) == (81, Settings().server.host)
    assert (loaded.logging.level, loaded.run.max_steps) == ("DEBUG", 7)


@pytest.mark.parametrize(
    ("line", "number"),
    [
        ('OPENAI_API_KEY="sk-a', 2),
        ("MAMBA_RUN__MAX_STEPS 7", 2),
        ("\n\nserver: {port: 1}", 4),
        ("OPENAI_API_KEY='a'b", 2),
        ('$env:OPENAI_API_KEY="sk-a"', 2),
        ('{"OPENAI_API_KEY": "sk-a"}', 2),
        ("[default]", 2),
        ("A\0=\0b\0", 2),
        ("OPENAI_API_KEY", 2),
        ("OPENAI_API_KEY=sk-\\\nabc", 3),
    ],
)
def test_line_of_an_env_file_that_is_no_variable_is_reported(
    folder: Path, line: str, number: int
) -> None:
    (folder / "mamba.env").write_text(f"A=1\n{line}\nMAMBA_RUN__MAX_STEPS=7\n")

    assert problem() == (
        f"~/mamba.env: line {number} must be NAME=value,"
        " with a quotation mark at both ends or at none"
    )


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"server:\n\tport: 1\n", "line 2, column 1"),
        (b"server:\n  port: 1\n  port: 2\n", "line 3, column 3: duplicate key"),
        (b"server: {port: 1}\n---\nserver: {port: 2}\n", "another document"),
        ("server: {port: 1}\n".encode("utf-16"), "it is not UTF-8 text; save it as UTF-8"),
        (b"server: {host: \xe4}\n", "it is not UTF-8 text; save it as UTF-8"),
        (b"server: \x00\n", "it is not valid YAML"),
        (b"[" * 5000, "it is not valid YAML"),
        (b"server: &a {port: *a}\n", "a value contains itself"),
        (b"server: !!python/object:os.system {}\n", "could not determine a constructor"),
        (b"- a\n", "must contain sections"),
    ],
)
def test_wrong_yaml_file_is_named(folder: Path, content: bytes, reason: str) -> None:
    (folder / "config.local.yaml").write_bytes(content)

    line = problem()

    assert line.startswith("config.local.yaml: ")
    assert reason in line


def test_directory_with_the_name_of_a_yaml_file_is_named(folder: Path) -> None:
    (folder / "config.local.yaml").mkdir()

    assert problem() == "config.local.yaml: cannot be read: Is a directory"


@pytest.mark.parametrize(
    "content", [b"", b"\n \n", b"\xef\xbb\xbfserver: {port: 81}\n", b"server:\r\n  port: 81\r\n"]
)
def test_unusual_yaml_file_is_accepted(folder: Path, content: bytes) -> None:
    (folder / "config.local.yaml").write_bytes(content)

    assert load_settings().server.port == (81 if b"81" in content else Settings().server.port)


def test_missing_metrics_folder_is_created(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(METRICS_FOLDER, str(folder / "a" / "metrics"))

    prepare_metrics_folder()

    assert (folder / "a" / "metrics").is_dir()


_KEYS = sorted({tuple("x" if part == NAME else part for part in key) for key in all_keys(Settings)})
_TEXTS = st.one_of(
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30),
    st.sampled_from(["0", "-1", "1e999", "nan", "[]", "{}", "[[[", '{"a": 1}', "null", "true"]),
    st.builds("{}://{}/{}?{}={}".format, *[st.text(st.characters(codec="ascii"), max_size=8)] * 5),
    st.sampled_from(["redis", "rediss", "sentinel", "cluster", "unix"]).flatmap(
        lambda kind: st.text(st.characters(codec="ascii"), max_size=20).map(f"{kind}://{{}}".format)
    ),
).map(lambda text: text.replace("\0", ""))
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXTS, inner, max_size=3),
    max_leaves=6,
)


def _outcome() -> None:
    """Load the settings. Each line of an error must name what is wrong."""
    try:
        load_settings()
    except SettingsError as error:
        first, *lines = str(error).splitlines()
        assert first == "The settings are invalid:"
        assert lines


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(variables=st.dictionaries(st.sampled_from(_KEYS), _TEXTS, min_size=1, max_size=3))
def test_any_variable_is_accepted_or_refused(variables: Mapping[tuple[str, ...], str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for key, value in variables.items():
            patch.setenv(variable_name(key), value)
        _outcome()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    key=st.sampled_from(_KEYS), value=_VALUES, cut=st.integers(0, 4), extra=st.binary(max_size=5)
)
def test_any_yaml_file_is_accepted_or_refused(
    folder: Path, key: tuple[str, ...], value: object, cut: int, extra: bytes
) -> None:
    for part in reversed(key[: cut or len(key)]):
        value = {part: value}
    text = json.dumps(value) if cut % 2 else yaml.safe_dump(value, allow_unicode=True)
    (folder / "config.local.yaml").write_bytes(text.encode(errors="replace") + extra)

    _outcome()
