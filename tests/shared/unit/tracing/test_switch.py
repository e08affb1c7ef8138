"""Tracing on and off. Each test runs a process, because tracing applies to a whole process."""

import json
import os
import subprocess
import sys
from typing import Any

from shared.telemetry import tracing

PROGRAM = """
import sys
{before}
from shared.telemetry import logs, tracing
logs.configure("INFO", "json")
with tracing.tracing("mamba-test"):
    with tracing.span("outer", "server", {{"mamba.run.id": "r1", "mamba.agent": None}}) as outer:
        with tracing.span("inner", "consumer", parent=outer.carrier) as inner:
            {inside}
print("sdk" if "opentelemetry.sdk" in sys.modules else "no sdk", tracing.ids(), file=sys.stderr)
"""


def run(
    variables: dict[str, str], *, before: str = "", inside: str = "pass"
) -> subprocess.CompletedProcess[str]:
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("OTEL_")
    }
    program = PROGRAM.format(before=before, inside=inside)
    command = [sys.executable, "-c", program]
    return subprocess.run(
        command,
        env={**environment, **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )


def exported_spans(out: str) -> dict[str, Any]:
    """Return the spans of the console exporter by name."""
    spans: dict[str, Any] = {}
    decoder = json.JSONDecoder()
    while out := out.strip():
        span, length = decoder.raw_decode(out)
        spans[span["name"]] = span
        out = out[length:]
    return spans


def test_tracing_off_imports_no_sdk_and_logs_nothing() -> None:
    process = run({}, inside="assert not inner.recorded and inner.carrier == {}")

    assert process.stderr.strip() == "no sdk {}"
    assert not process.stdout


def test_console_exporter_prints_spans() -> None:
    process = run({"OTEL_TRACES_EXPORTER": "console", "OTEL_TRACES_SAMPLER": ""})

    spans = exported_spans(process.stdout)
    assert spans["inner"]["parent_id"] == spans["outer"]["context"]["span_id"]
    assert spans["outer"]["attributes"] == {"mamba.run.id": "r1"}
    assert spans["outer"]["resource"]["attributes"]["service.name"] == "mamba-test"
    assert "tracing.started" in process.stderr
    assert "tracing.sdk_warned" not in process.stderr


def test_variables_set_the_resource_attributes() -> None:
    resource_variables = {
        "OTEL_SERVICE_NAME": "chat",
        "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment=test",
    }
    process = run({"OTEL_TRACES_EXPORTER": "console", **resource_variables})

    resource = exported_spans(process.stdout)["outer"]["resource"]["attributes"]
    assert resource["service.name"] == "chat"
    assert resource["deployment.environment"] == "test"


def test_unsampled_span_propagates_the_unsampled_flag() -> None:
    variables = {"OTEL_TRACES_EXPORTER": "console", "OTEL_TRACES_SAMPLER": "always_off"}
    process = run(
        variables, inside='assert inner.carrier["traceparent"].endswith("-02"), inner.carrier'
    )

    assert not process.stdout


def test_failed_span_has_error_class_without_message() -> None:
    process = run(
        {"OTEL_TRACES_EXPORTER": "console"},
        before="from contextlib import suppress",
        inside="""
            with suppress(ValueError), tracing.span("failing"):
                raise ValueError("text of a user")""",
    )

    failing = exported_spans(process.stdout)["failing"]
    assert failing["attributes"] == {"error.type": "ValueError"}
    assert failing["status"] == {"status_code": "ERROR"}
    assert "user" not in process.stdout


def test_missing_packages_log_an_install_hint() -> None:
    variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}
    process = run(variables, before="sys.modules['opentelemetry.sdk'] = None")

    line = json.loads(process.stderr.splitlines()[0])
    assert (line["event"], line["level"]) == ("tracing.not_started", "error")
    assert line["error"].startswith("opentelemetry.sdk")
    assert line["error"].endswith(" is not installed")
    assert line["hint"] == "pip install 'mamba-server[tracing]'"


def test_sdk_warnings_are_logged_without_values() -> None:
    variables = {
        "OTEL_TRACES_EXPORTER": "otlp",
        "OTEL_EXPORTER_OTLP_HEADERS": "authorization=secret-key",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "secret-time",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9",
    }
    process = run(variables)

    warned = [json.loads(line) for line in process.stderr.splitlines() if "sdk_warned" in line]
    assert any("Invalid timeout value" in line["warning"] for line in warned)
    assert "secret" not in process.stderr


def test_disabled_span_accepts_every_call() -> None:
    span = tracing.Span()

    span.set({"mamba.agent": "chat"})
    span.link({"traceparent": "…"})
    span.fail("ValueError")
    span.end()
    assert not span.recorded
    assert span.carrier == {}
