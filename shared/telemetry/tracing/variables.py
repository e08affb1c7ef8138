"""Checks of OpenTelemetry's standard environment variables.

The SDK reads most of them (queue sizes, headers, certificates, resource). This module reads those
that decide whether tracing starts, and those whose invalid values the SDK would ignore.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from urllib.parse import unquote, urlsplit

from shared.errors import SettingsError
from shared.header_text import CharacterRule, problem_in

_ENDPOINT, _TRACES_ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
_DEFAULT_ENDPOINT = "http://localhost:4318"
_EXPORTERS = ("otlp", "console")
_PROTOCOL = "http/protobuf"
_SAMPLERS = ("always_on", "always_off", "traceidratio")


class TracingConfigError(ValueError):
    """A variable has an unsupported value. The message names the variable and the fix."""


@dataclass(frozen=True, slots=True)
class TracingPlan:
    """The tracing configuration from the variables."""

    #: `otlp`, `console` or both.
    exporters: tuple[str, ...]
    #: URL that `otlp` sends spans to.
    endpoint: str

    @property
    def shown_endpoint(self) -> str | None:
        """The endpoint without credentials, or None without the `otlp` exporter."""
        if "otlp" not in self.exporters:
            return None
        url = urlsplit(self.endpoint)
        return f"{url.scheme}://{url.netloc.rpartition('@')[2]}{url.path}"


def read_tracing_plan(environment: Mapping[str, str]) -> TracingPlan | None:
    """Return the configuration; None if neither an endpoint nor `OTEL_TRACES_EXPORTER` is set.

    Raises:
        TracingConfigError: if a variable has an unsupported value.
    """
    variables = {name: value.strip() for name, value in environment.items() if value.strip()}
    named = variables.get("OTEL_TRACES_EXPORTER", "otlp" if _has_endpoint(variables) else "none")
    exporters = tuple(dict.fromkeys(name.strip().lower() for name in named.split(",")))
    if variables.get("OTEL_SDK_DISABLED", "").lower() == "true" or exporters == ("none",):
        return None
    if unknown := [name for name in exporters if name not in _EXPORTERS]:
        raise TracingConfigError(
            f"OTEL_TRACES_EXPORTER: {unknown[0]!r} is not supported. Use otlp, console or none"
        )
    _check_sampler(variables)
    if "otlp" in exporters:
        _check_protocol(variables)
        _check_headers(environment)
    return TracingPlan(exporters, _endpoint(variables))


def check_propagators(environment: Mapping[str, str]) -> None:
    """Check `OTEL_PROPAGATORS` before OpenTelemetry reads it; its import fails on unknown names.

    Raises:
        SettingsError: if a propagator is not installed.
    """
    variables = environment.get("OTEL_PROPAGATORS", "").strip()
    if not variables:
        return
    known = entry_points(group="opentelemetry_propagator").names | {"none"}
    if unknown := {name.strip() for name in variables.split(",")} - known:
        raise SettingsError(
            f"OTEL_PROPAGATORS: {min(unknown)!r} is not installed. "
            f"Use one of: {', '.join(sorted(known))}."
        )


def _has_endpoint(variables: Mapping[str, str]) -> bool:
    return _ENDPOINT in variables or _TRACES_ENDPOINT in variables


def _endpoint(variables: Mapping[str, str]) -> str:
    name = _TRACES_ENDPOINT if _TRACES_ENDPOINT in variables else _ENDPOINT
    url = variables.get(name, _DEFAULT_ENDPOINT)
    try:
        parts = urlsplit(url)
        is_valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_valid = False
    if not is_valid:
        raise TracingConfigError(f"{name} is not a valid URL. Write it as http://collector:4318")
    return url if name == _TRACES_ENDPOINT else f"{url.removesuffix('/')}/v1/traces"


def _check_protocol(variables: Mapping[str, str]) -> None:
    for name in ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"):
        if name in variables:
            if variables[name] != _PROTOCOL:
                raise TracingConfigError(
                    f"{name}: {variables[name]!r} is not supported. Use {_PROTOCOL}, "
                    "which collectors accept on port 4318"
                )
            return


def _check_headers(environment: Mapping[str, str]) -> None:
    """Check the headers of requests to the collector, which may hold a token."""
    for name in ("OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS"):
        for pair in filter(str.strip, environment.get(name, "").split(",")):
            key, separator, value = pair.partition("=")
            if not separator or not key.strip():
                raise TracingConfigError(f"{name} must have the form name=value,name=value")
            if problem := problem_in(unquote(value).strip(), CharacterRule.HEADER):
                raise TracingConfigError(f"{name}: Headers must be ASCII text. {problem}")


def _check_sampler(variables: Mapping[str, str]) -> None:
    sampler = variables.get("OTEL_TRACES_SAMPLER", "parentbased_always_on").lower()
    if sampler.removeprefix("parentbased_") not in _SAMPLERS:
        names = ", ".join(_SAMPLERS)
        raise TracingConfigError(
            f"OTEL_TRACES_SAMPLER: {sampler!r} is not supported. "
            f"Use one of {names}, each also with the prefix parentbased_"
        )
    if sampler.endswith("traceidratio") and not _is_ratio(
        variables.get("OTEL_TRACES_SAMPLER_ARG", "1")
    ):
        raise TracingConfigError("OTEL_TRACES_SAMPLER_ARG must be a number from 0 to 1")


def _is_ratio(text: str) -> bool:
    try:
        return 0 <= float(text) <= 1
    except ValueError:
        return False
