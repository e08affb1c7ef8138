import pytest

from mamba.operate.doctor.settings_checks import check_prices, check_settings, check_tracing
from shared.settings import Settings
from shared.settings.sections.auth import AuthSettings
from shared.settings.sections.server import ServerSettings


@pytest.mark.parametrize(
    ("environment", "status", "message"),
    [
        ({}, "ok", "off"),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://user:secret@collector:4318"},
            "ok",
            "on: spans go to http://collector:4318/v1/traces",
        ),
        ({"OTEL_TRACES_EXPORTER": "console"}, "ok", "on: spans go to the console"),
        (
            {"OTEL_TRACES_EXPORTER": "zipkin"},
            "warning",
            "OTEL_TRACES_EXPORTER: 'zipkin' is not supported. Use otlp, console or none",
        ),
    ],
)
def test_doctor_reports_where_traces_go(
    environment: dict[str, str], status: str, message: str
) -> None:
    finding = check_tracing(environment)

    assert (finding.part, finding.status, finding.message) == ("tracing", status, message)


def auth_findings(host: str, auth: AuthSettings) -> list[str]:
    settings = Settings(server=ServerSettings(host=host), auth=auth)
    return [found.message for found in check_settings(settings) if found.part == "auth"]


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.5"])
def test_doctor_reports_an_api_without_authentication(host: str) -> None:
    [message] = auth_findings(host, AuthSettings())

    assert message.startswith(f"the API listens on {host} without authentication: anyone who can ")


@pytest.mark.parametrize(
    ("host", "auth"),
    [
        ("127.0.0.1", AuthSettings()),
        ("::1", AuthSettings()),
        ("10.0.0.5", AuthSettings(mode="api_key")),
    ],
)
def test_doctor_accepts_loopback_hosts_and_authentication(host: str, auth: AuthSettings) -> None:
    assert auth_findings(host, auth) == []


@pytest.mark.parametrize(
    ("model", "limits", "unknown"),
    [
        ("gpt-4o", {"cost": {"day": 1}}, []),
        ("my-model", {"cost": {"day": 1}}, ["openai/my-model"]),
        ("my-model", {"tokens": {"day": 1}}, []),
        ("priced", {"cost": {"day": 1}}, []),
    ],
)
def test_doctor_reports_models_without_a_price(
    model: str, limits: dict[str, dict[str, int]], unknown: list[str]
) -> None:
    settings = Settings.model_validate(
        {
            "openai": {"api_key": "key", "default_model": model},
            "models": {"prices": {"pri*": {"input": 1, "output": 2}}},
            "limits": {"budgets": {"default": limits}},
        }
    )

    found = [finding.message for finding in check_prices(settings)]

    text = "the price of {} is unknown, so cost budgets do not limit it"
    assert found == [text.format(name) for name in unknown]
