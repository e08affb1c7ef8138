"""Tracing is switched on and off for a whole process, so each of these is one."""

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
    told: dict[str, str], *, before: str = "", inside: str = "pass"
) -> subprocess.CompletedProcess[str]:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    program = PROGRAM.format(before=before, inside=inside)
    command = [sys.executable, "-c", program]
    return subprocess.run(
        command, env={**plain, **told}, capture_output=True, text=True, timeout=60, check=True
    )


def printed(out: str) -> dict[str, Any]:
    """The spans of the console's exporter, by their names."""
    spans: dict[str, Any] = {}
    decoder = json.JSONDecoder()
    while out := out.strip():
        span, length = decoder.raw_decode(out)
        spans[span["name"]] = span
        out = out[length:]
    return spans


def test_nothing_is_imported_and_nothing_is_said_while_it_is_off() -> None:
    ended = run({}, inside="assert not inner.recorded and inner.carrier == {}")

    assert ended.stderr.strip() == "no sdk {}"
    assert not ended.stdout


def test_spans_are_written_to_the_console() -> None:
    ended = run({"OTEL_TRACES_EXPORTER": "console", "OTEL_TRACES_SAMPLER": ""})

    spans = printed(ended.stdout)
    assert spans["inner"]["parent_id"] == spans["outer"]["context"]["span_id"]
    assert spans["outer"]["attributes"] == {"mamba.run.id": "r1"}
    assert spans["outer"]["resource"]["attributes"]["service.name"] == "mamba-test"
    assert "tracing.started" in ended.stderr
    assert "tracing.sdk_warned" not in ended.stderr


def test_the_variables_name_the_process() -> None:
    named = {"OTEL_SERVICE_NAME": "chat", "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment=test"}
    ended = run({"OTEL_TRACES_EXPORTER": "console", **named})

    resource = printed(ended.stdout)["outer"]["resource"]["attributes"]
    assert resource["service.name"] == "chat"
    assert resource["deployment.environment"] == "test"


def test_what_is_not_sampled_is_not_written_and_says_so_to_the_next_process() -> None:
    told = {"OTEL_TRACES_EXPORTER": "console", "OTEL_TRACES_SAMPLER": "always_off"}
    ended = run(told, inside='assert inner.carrier["traceparent"].endswith("-02"), inner.carrier')

    assert not ended.stdout


def test_a_failed_span_tells_the_class_and_not_the_message() -> None:
    ended = run(
        {"OTEL_TRACES_EXPORTER": "console"},
        before="from contextlib import suppress",
        inside="""
            with suppress(ValueError), tracing.span("failing"):
                raise ValueError("somebody's words")""",
    )

    failing = printed(ended.stdout)["failing"]
    assert failing["attributes"] == {"error.type": "ValueError"}
    assert failing["status"] == {"status_code": "ERROR"}
    assert "somebody" not in ended.stdout


def test_without_its_packages_a_line_says_what_to_install() -> None:
    told = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}
    ended = run(told, before="sys.modules['opentelemetry.sdk'] = None")

    line = json.loads(ended.stderr.splitlines()[0])
    assert (line["event"], line["level"]) == ("tracing.not_started", "error")
    assert line["error"].startswith("opentelemetry.sdk")
    assert line["error"].endswith(" is not installed")
    assert line["hint"] == "pip install 'mamba-server[tracing]'"


def test_what_the_sdk_complains_of_is_told_without_values() -> None:
    told = {
        "OTEL_TRACES_EXPORTER": "otlp",
        "OTEL_EXPORTER_OTLP_HEADERS": "secret-key",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "secret-time",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9",
    }
    ended = run(told)

    warned = [json.loads(line) for line in ended.stderr.splitlines() if "sdk_warned" in line]
    assert any("Invalid timeout value" in line["said"] for line in warned)
    assert any("Header format invalid" in line["said"] for line in warned)
    assert "secret" not in ended.stderr


def test_a_span_that_is_off_takes_all_that_a_recorded_one_takes() -> None:
    span = tracing.Span()

    span.set({"mamba.agent": "chat"})
    span.link({"traceparent": "…"})
    span.fail("ValueError")
    span.end()
    assert not span.recorded
    assert span.carrier == {}
