import pytest

from mamba.operate.doctor.settings_checks import check_tracing


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
