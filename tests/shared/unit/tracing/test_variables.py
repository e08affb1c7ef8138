import pytest

from shared.errors import SettingsError
from shared.telemetry.tracing.variables import (
    TracingConfigError,
    TracingPlan,
    check_propagators,
    read_tracing_plan,
)

COLLECTOR = "http://collector:4318"


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"OTEL_SERVICE_NAME": "chat", "OTEL_TRACES_SAMPLER": "always_on"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": " "},
        {"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": COLLECTOR},
        {"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": COLLECTOR},
        {"OTEL_SDK_DISABLED": "TRUE", "OTEL_TRACES_EXPORTER": "console"},
    ],
)
def test_tracing_is_off_without_endpoint_or_exporter(variables: dict[str, str]) -> None:
    assert read_tracing_plan(variables) is None


@pytest.mark.parametrize(
    ("variables", "exporters", "endpoint"),
    [
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": COLLECTOR}, ["otlp"], f"{COLLECTOR}/v1/traces"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": f"{COLLECTOR}/a/"}, ["otlp"], f"{COLLECTOR}/a/v1/traces"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": COLLECTOR}, ["otlp"], COLLECTOR),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, ["otlp"], "http://localhost:4318/v1/traces"),
        ({"OTEL_TRACES_EXPORTER": "console"}, ["console"], "http://localhost:4318/v1/traces"),
        (
            {"OTEL_TRACES_EXPORTER": "OTLP, console", "OTEL_EXPORTER_OTLP_ENDPOINT": COLLECTOR},
            ["otlp", "console"],
            f"{COLLECTOR}/v1/traces",
        ),
        (
            {
                "OTEL_EXPORTER_OTLP_ENDPOINT": COLLECTOR,
                "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
                "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf",
                "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
                "OTEL_TRACES_SAMPLER_ARG": "0.1",
            },
            ["otlp"],
            f"{COLLECTOR}/v1/traces",
        ),
    ],
)
def test_endpoint_or_exporter_enables_tracing(
    variables: dict[str, str], exporters: list[str], endpoint: str
) -> None:
    assert read_tracing_plan(variables) == TracingPlan(tuple(exporters), endpoint)


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"OTEL_TRACES_EXPORTER": "jaeger"}, "OTEL_TRACES_EXPORTER: 'jaeger'"),
        ({"OTEL_TRACES_EXPORTER": "otlp,none"}, "OTEL_TRACES_EXPORTER: 'none'"),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc'"),
        ({"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/json"}, "_TRACES_PROTOCOL: 'http/json'"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4318"}, "_OTLP_ENDPOINT is not a valid URL"),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:x"},
            "OTEL_EXPORTER_OTLP_ENDPOINT is not a valid URL",
        ),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "/v1"}, "_TRACES_ENDPOINT is not a valid URL"),
        ({"OTEL_TRACES_SAMPLER": "jaeger_remote"}, "OTEL_TRACES_SAMPLER: 'jaeger_remote'"),
        (
            {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "10%"},
            "OTEL_TRACES_SAMPLER_ARG must be a number",
        ),
        (
            {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "2"},
            "OTEL_TRACES_SAMPLER_ARG must be a number",
        ),
    ],
)
def test_invalid_variable_error_names_the_variable(
    variables: dict[str, str], expected: str
) -> None:
    with pytest.raises(TracingConfigError) as raised:
        read_tracing_plan({"OTEL_EXPORTER_OTLP_ENDPOINT": COLLECTOR, **variables})

    assert expected in str(raised.value)


def test_shown_endpoint_has_no_credentials() -> None:
    url = "https://user:secret@collector:4318/v1/traces?key=secret"

    assert TracingPlan(("otlp",), url).shown_endpoint == "https://collector:4318/v1/traces"
    assert TracingPlan(("console",), url).shown_endpoint is None


@pytest.mark.parametrize("variables", ["", "none", "tracecontext", "tracecontext, baggage"])
def test_installed_propagators_are_accepted(variables: str) -> None:
    check_propagators({"OTEL_PROPAGATORS": variables})


def test_missing_propagator_error_names_it() -> None:
    with pytest.raises(
        SettingsError, match=r"OTEL_PROPAGATORS: 'b4' is not installed.*tracecontext"
    ):
        check_propagators({"OTEL_PROPAGATORS": "tracecontext,b4"})
