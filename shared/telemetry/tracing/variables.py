"""OpenTelemetry's own variables: whether they ask for traces, and where to.

The SDK reads them all (queue sizes, headers, certificates, resource); here stand those that decide
whether it is started, and those whose mistakes it would pass over.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from urllib.parse import urlsplit

from shared.errors import SettingsError

_ENDPOINT, _TRACES_ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
_DEFAULT_ENDPOINT = "http://localhost:4318"
_EXPORTERS = ("otlp", "console")
_PROTOCOL = "http/protobuf"
_SAMPLERS = ("always_on", "always_off", "traceidratio")


class TracingConfigError(ValueError):
    """The variables ask for what cannot be done; the message names one, and the cure."""


@dataclass(frozen=True, slots=True)
class TracingPlan:
    """What the variables ask for."""

    #: Of `otlp` and `console`, at least one.
    exporters: tuple[str, ...]
    #: Where `otlp` sends the spans to.
    endpoint: str

    @property
    def shown_endpoint(self) -> str | None:
        """The endpoint as it may be shown: without who logs in there."""
        if "otlp" not in self.exporters:
            return None
        url = urlsplit(self.endpoint)
        return f"{url.scheme}://{url.netloc.rpartition('@')[2]}{url.path}"


def read_tracing_plan(environment: Mapping[str, str]) -> TracingPlan | None:
    """What is asked for; None: nothing. An endpoint is enough, or `OTEL_TRACES_EXPORTER`.

    Raises:
        TracingConfigError: if it cannot be done so.
    """
    told = {name: value.strip() for name, value in environment.items() if value.strip()}
    named = told.get("OTEL_TRACES_EXPORTER", "otlp" if _has_endpoint(told) else "none")
    exporters = tuple(dict.fromkeys(name.strip().lower() for name in named.split(",")))
    if told.get("OTEL_SDK_DISABLED", "").lower() == "true" or exporters == ("none",):
        return None
    if unknown := [name for name in exporters if name not in _EXPORTERS]:
        raise TracingConfigError(
            f"OTEL_TRACES_EXPORTER: {unknown[0]!r} is not among otlp, console and none"
        )
    _check_sampler(told)
    if "otlp" in exporters:
        _check_protocol(told)
    return TracingPlan(exporters, _endpoint(told))


def check_propagators(environment: Mapping[str, str]) -> None:
    """Before the libraries read them at their import, which one they do not know would break.

    Raises:
        SettingsError: if one is not installed.
    """
    told = environment.get("OTEL_PROPAGATORS", "").strip()
    if not told:
        return
    known = entry_points(group="opentelemetry_propagator").names | {"none"}
    if unknown := {name.strip() for name in told.split(",")} - known:
        raise SettingsError(
            f"OTEL_PROPAGATORS: {min(unknown)!r} is not among those installed: "
            f"{', '.join(sorted(known))}."
        )


def _has_endpoint(told: Mapping[str, str]) -> bool:
    return _ENDPOINT in told or _TRACES_ENDPOINT in told


def _endpoint(told: Mapping[str, str]) -> str:
    name = _TRACES_ENDPOINT if _TRACES_ENDPOINT in told else _ENDPOINT
    url = told.get(name, _DEFAULT_ENDPOINT)
    try:
        parts = urlsplit(url)
        right = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        right = False
    if not right:
        raise TracingConfigError(f"{name} is no URL: write it as http://collector:4318")
    return url if name == _TRACES_ENDPOINT else f"{url.removesuffix('/')}/v1/traces"


def _check_protocol(told: Mapping[str, str]) -> None:
    for name in ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"):
        if name in told:
            if told[name] != _PROTOCOL:
                raise TracingConfigError(
                    f"{name}: {told[name]!r} is not spoken here: leave it at {_PROTOCOL}, "
                    "which collectors take at port 4318"
                )
            return


def _check_sampler(told: Mapping[str, str]) -> None:
    sampler = told.get("OTEL_TRACES_SAMPLER", "parentbased_always_on").lower()
    if sampler.removeprefix("parentbased_") not in _SAMPLERS:
        names = ", ".join(_SAMPLERS)
        raise TracingConfigError(
            f"OTEL_TRACES_SAMPLER: {sampler!r} is not among {names}, each also as parentbased_…"
        )
    if sampler.endswith("traceidratio") and not _is_ratio(told.get("OTEL_TRACES_SAMPLER_ARG", "1")):
        raise TracingConfigError("OTEL_TRACES_SAMPLER_ARG: write a number from 0 to 1")


def _is_ratio(text: str) -> bool:
    try:
        return 0 <= float(text) <= 1
    except ValueError:
        return False
