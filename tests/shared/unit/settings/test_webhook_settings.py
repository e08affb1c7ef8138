import pytest
from pydantic import ValidationError

from mamba.config.config_report import config_rows, in_json
from shared.errors import SettingsError
from shared.settings import WebhookSettings, load_settings, read_settings
from tests.support.webhook_receiver import SECRET


def _settings(**fields: object) -> WebhookSettings:
    return WebhookSettings.model_validate({"url": "https://a.example/", "secret": SECRET, **fields})


@pytest.mark.parametrize(
    "url",
    [
        "https://app.example.com/hooks?team=1",
        "http://localhost:3000/hooks",
        "http://127.0.0.1/",
        "http://10.1.2.3/",
        "http://[::1]:80/",
        "http://[fd00::1]/",
        "http://app:3000/hooks",
        "http://app.shop.svc/",
        "http://app.shop.svc.cluster.local/",
    ],
)
def test_https_or_a_private_host_is_accepted(url: str) -> None:
    assert _settings(url=url).url == url


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("http://app.example.com/hooks", "must start with https://"),
        ("http://8.8.8.8/", "must start with https://"),
        ("http://0.0.0.0/", "must start with https://"),
        ("https://ann:pass@app.example.com/", "must not contain a login"),
        ("https://app.example.com/#x", "must not contain a fragment"),
        ("https:///hooks", "has no host"),
        ("ftp://app.example.com", "^https?://"),
    ],
)
def test_wrong_url_is_rejected_with_its_problem(url: str, problem: str) -> None:
    with pytest.raises(ValidationError) as caught:
        _settings(url=url)

    text = str(caught.value.errors(include_input=False, include_url=False)[0]["msg"])
    assert problem in text
    assert "pass" not in text


@pytest.mark.parametrize(
    "secret",
    [
        "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "whsec_",
        "whsec_short",
        "whsec_" + "a" * 1000,
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLa!!",
        "whsec_whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    ],
)
def test_weak_or_malformed_secret_is_rejected_unseen(secret: str) -> None:
    with pytest.raises(ValidationError) as caught:
        _settings(secret=secret)

    error = caught.value.errors(include_input=False, include_url=False)[0]
    assert "whsec_ and the Base64 form of 24 to 64 random bytes" in error["msg"]
    assert len(secret) < 10 or secret not in error["msg"]


def test_unpadded_secret_is_accepted() -> None:
    assert _settings(secret="whsec_" + "Y" * 43)


def test_unknown_event_is_rejected() -> None:
    with pytest.raises(ValidationError):
        _settings(events=("run.started",))


def test_destinations_come_from_variables_with_masked_secrets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MAMBA_WEBHOOKS__CRM__URL", "https://crm.example.com/hooks")
    monkeypatch.setenv("MAMBA_WEBHOOKS__CRM__SECRET", SECRET)
    monkeypatch.setenv("MAMBA_WEBHOOKS__CRM__EVENTS", '["run.failed"]')

    destination = load_settings().webhooks["crm"]
    report = in_json(list(config_rows(read_settings())))

    assert destination.events == ("run.failed",)
    assert destination.secret.get_secret_value() == SECRET
    assert "https://crm.example.com/hooks" in report
    assert SECRET not in report
    assert SECRET not in repr(destination)


def test_missing_secret_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAMBA_WEBHOOKS__CRM__URL", "https://crm.example.com/hooks")

    with pytest.raises(SettingsError, match=r"webhooks\.crm\.secret"):
        load_settings()
