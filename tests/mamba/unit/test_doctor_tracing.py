import pytest

from mamba.operate.doctor import traced


@pytest.mark.parametrize(
    ("told", "status", "said"),
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
            "OTEL_TRACES_EXPORTER: 'zipkin' is not among otlp, console and none",
        ),
    ],
)
def test_the_doctor_says_where_traces_go(told: dict[str, str], status: str, said: str) -> None:
    found = traced(told)

    assert (found.part, found.status, found.said) == ("tracing", status, said)
