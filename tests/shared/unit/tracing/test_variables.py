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
    "told",
    [
        {},
        {"OTEL_SERVICE_NAME": "chat", "OTEL_TRACES_SAMPLER": "always_on"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": " "},
        {"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": COLLECTOR},
        {"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": COLLECTOR},
        {"OTEL_SDK_DISABLED": "TRUE", "OTEL_TRACES_EXPORTER": "console"},
    ],
)
def test_nothing_is_traced_that_nobody_asked_for(told: dict[str, str]) -> None:
    assert read_tracing_plan(told) is None


@pytest.mark.parametrize(
    ("told", "exporters", "endpoint"),
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
def test_an_endpoint_or_an_exporter_is_enough(
    told: dict[str, str], exporters: list[str], endpoint: str
) -> None:
    assert read_tracing_plan(told) == TracingPlan(tuple(exporters), endpoint)


@pytest.mark.parametrize(
    ("told", "said"),
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
def test_a_mistake_is_named_with_its_variable(told: dict[str, str], said: str) -> None:
    with pytest.raises(TracingConfigError) as refused:
        read_tracing_plan({"OTEL_EXPORTER_OTLP_ENDPOINT": COLLECTOR, **told})

    assert said in str(refused.value)


def test_an_endpoint_is_shown_without_who_logs_in_there() -> None:
    url = "https://user:secret@collector:4318/v1/traces?key=secret"

    assert TracingPlan(("otlp",), url).shown_endpoint == "https://collector:4318/v1/traces"
    assert TracingPlan(("console",), url).shown_endpoint is None


@pytest.mark.parametrize("told", ["", "none", "tracecontext", "tracecontext, baggage"])
def test_a_propagator_that_is_installed_may_be_named(told: str) -> None:
    check_propagators({"OTEL_PROPAGATORS": told})


def test_a_propagator_that_is_not_installed_is_named_before_it_breaks_an_import() -> None:
    with pytest.raises(
        SettingsError, match=r"OTEL_PROPAGATORS: 'b4' is not installed.*tracecontext"
    ):
        check_propagators({"OTEL_PROPAGATORS": "tracecontext,b4"})
