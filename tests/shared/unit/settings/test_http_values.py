"""Settings that become HTTP headers or URLs: keys, headers and base URLs."""

from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from shared.providers.names import providers_of
from shared.settings import OpenAISettings, ProviderSettings, ResearchSettings, Settings
from shared.settings.load import read_settings


def provider(**fields: Any) -> ProviderSettings:
    return ProviderSettings.model_validate({"base_url": "http://models.test/v1", **fields})


def error_of(**fields: Any) -> str:
    with pytest.raises(ValidationError) as raised:
        provider(**fields)
    [detail] = raised.value.errors(include_input=False, include_url=False)
    return detail["msg"]


@pytest.mark.parametrize(
    ("key", "named"),
    [
        ("“sk-abc”", "Character 1 is U+201C (LEFT DOUBLE QUOTATION MARK)"),
        ("‘sk-abc’", "Character 1 is U+2018 (LEFT SINGLE QUOTATION MARK)"),
        ("sk-\u200babc", "Character 4 is U+200B (ZERO WIDTH SPACE)"),
        ("\ufeffsk-abc", "Character 1 is U+FEFF (ZERO WIDTH NO-BREAK SPACE)"),
        ("sk-abc\n", "Character 7 is U+000A (LINE FEED)"),
        ("sk-abc\r\n", "Character 7 is U+000D (CARRIAGE RETURN)"),
        (" sk-abc", "Character 1 is U+0020 (SPACE)"),
        ("sk–abc", "Character 3 is U+2013 (EN DASH)"),
        ("sk-äbc", "Character 4 is U+00E4 (LATIN SMALL LETTER A WITH DIAERESIS)"),
        ('"sk-abc"', "Character 1 is U+0022 (QUOTATION MARK)"),
        ("sk-abc'", "Character 7 is U+0027 (APOSTROPHE)"),
        ("sk-\x00abc", "Character 4 is U+0000 (CONTROL CHARACTER)"),
    ],
)
def test_key_with_an_odd_character_is_rejected(key: str, named: str) -> None:
    message = error_of(api_key=key)
    assert named in message
    assert "abc" not in message
    with pytest.raises(ValidationError, match="visible ASCII"):
        OpenAISettings.model_validate({"api_key": key})
    with pytest.raises(ValidationError, match="visible ASCII"):
        ResearchSettings.model_validate({"tavily_api_key": key})


@pytest.mark.parametrize("key", ["${OPENAI_API_KEY}", "$KEY", "{{key}}", "<your-api-key>"])
def test_placeholder_is_rejected(key: str) -> None:
    assert error_of(api_key=key) == (
        "Value error, The value is a placeholder. Replace it with the key."
    )


@pytest.mark.parametrize("key", ["sk-abc", "EMPTY", "a${b}", "$", "k{y}"])
def test_key_that_resembles_a_placeholder_is_accepted(key: str) -> None:
    assert OpenAISettings.model_validate({"api_key": key}).api_key == SecretStr(key)


def test_error_names_the_setting_and_its_source(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "“sk-abc”")
    with pytest.raises(
        Exception, match=r"openai\.api_key: .*U\+201C.*\(OPENAI_API_KEY\)"
    ) as raised:
        read_settings()
    assert "sk-abc" not in str(raised.value)


@pytest.mark.parametrize("value", ["a\nb", "é", "“a”", " a", "a ", "a\x00"])
def test_header_with_an_odd_character_is_rejected(value: str) -> None:
    assert "A header must consist of ASCII" in error_of(headers={"x-a": value})


@pytest.mark.parametrize("value", ["Basic dXNlcjpwYXNz", 'W/"1"', "a, b;q=1", "", "a\tb"])
def test_usual_headers_are_accepted(value: str) -> None:
    assert provider(headers={"x-a": value}).headers["x-a"].get_secret_value() == value


@pytest.mark.parametrize("name", ["", "x a", "x:", "ä", "x\n"])
def test_name_of_a_header_is_checked(name: str) -> None:
    assert "name of a header" in error_of(headers={name: "a"})


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("http://h:1/v1/", "http://h:1/v1"),
        ("http://h:1/v1//", "http://h:1/v1"),
        (" http://h:1/v1\n", "http://h:1/v1"),
        ("http://h:1/v1/chat/completions", "http://h:1/v1"),
        ("http://h:1/v1/chat/completions/?a=b", "http://h:1/v1?a=b"),
        ("http://h:1/v1/completions", "http://h:1/v1"),
        ("https://h", "https://h"),
        ("HTTPS://h/v1", "https://h/v1"),
        ("https://h/models", "https://h/models"),
        (
            "https://h/openai/deployments/d?api-version=1",
            "https://h/openai/deployments/d?api-version=1",
        ),
        ("http://[::1]:8000/v1", "http://[::1]:8000/v1"),
    ],
)
def test_base_url_is_normalized(given: str, used: str) -> None:
    assert provider(base_url=given).base_url == used


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("", "must start with https:// or http://"),
        ("  ", "must start with https:// or http://"),
        ("localhost:11434/v1", "must start with https:// or http://"),
        ("api.example.com/v1", "must start with https:// or http://"),
        ("ftp://h/v1", "must start with https:// or http://"),
        ("http:///v1", "has no host"),
        ("http://h:port/v1", "malformed"),
        ("http://h/v 1", "U+0020 (SPACE)"),
        ("http://h/v1\u200b/x", "U+200B (ZERO WIDTH SPACE)"),
        ('"http://h/v1"', "must start with"),
        ("“http://h/v1”", "U+201C"),
        ("https://user:secret@h/v1", "must not contain a login"),
        ("https://h/v1#x", "fragment"),
        ("https://h/v1?x", "?name=value"),
    ],
)
def test_base_url_that_cannot_work_is_rejected(url: str, message: str) -> None:
    assert message in error_of(base_url=url)
    assert "secret" not in error_of(base_url=url)


@pytest.mark.parametrize("name", ["OPENAI_BASE_URL", "OPENAI_API_BASE_URL", "OPENAI_API_BASE"])
def test_usual_names_of_the_base_url_are_read(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "http://models.test/v1")
    loaded = read_settings()
    assert loaded.settings.openai.base_url == "http://models.test/v1"
    assert loaded.origin(("openai", "base_url")) == name


def test_different_base_urls_are_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://a/v1")
    monkeypatch.setenv("OPENAI_API_BASE_URL", "http://b/v1")
    with pytest.raises(Exception, match="OPENAI_BASE_URL: differs from OPENAI_API_BASE_URL"):
        read_settings()


def test_organization_and_project_are_headers_of_openai(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_ORG_ID", "org-1")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "proj-1")
    settings = read_settings().settings
    providers = providers_of(Settings(openai=settings.openai, providers={"other": provider()}))
    assert providers["openai"].settings.headers == {
        "OpenAI-Organization": SecretStr("org-1"),
        "OpenAI-Project": SecretStr("proj-1"),
    }
    assert providers["other"].settings.headers == {}


@pytest.mark.parametrize("password", ["pa\u200bss", "pa ss", "“pass”", "pass\n"])
def test_redis_password_with_an_odd_character_is_rejected(password: str) -> None:
    with pytest.raises(ValidationError, match="does not belong into it") as raised:
        Settings.model_validate({"redis": {"url": f"redis://:{password}@h/0"}})
    assert "pa" not in raised.value.errors()[0]["msg"].split("Character")[1]
