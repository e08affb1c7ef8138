"""Counters of requests, refusals, runs and streams. See `docs/reference/metrics.md`."""

from collections.abc import Iterator
from typing import NamedTuple

from prometheus_client import Counter, Gauge, Histogram

from shared.agents.agent_card import BUILT_IN_AGENTS
from shared.errors import Refusal
from shared.telemetry.metrics import AGENT_LABELS

_SECONDS = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
#: Clients can send any method; the others share one label value, which bounds the series.
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

_REQUESTS = Counter("mamba_http_requests", "HTTP requests.", ("method", "route", "status"))
_DURATION = Histogram(
    "mamba_http_request_duration_seconds",
    "Time from a request to the start of its response.",
    ("method", "route"),
    buckets=_SECONDS,
)
_REFUSALS = Counter("mamba_http_refusals", "Refused requests, by error code.", ("code",))
_ACCEPTED = Counter("mamba_runs_accepted", "Accepted runs.", ("agent",))
STREAM_CLIENTS = Gauge(
    "mamba_stream_clients", "Clients that currently follow a run.", multiprocess_mode="livesum"
)
_STREAMS = Counter("mamba_streams", "Ended streams, by outcome.", ("outcome",))

CONNECTIONS_NEAR_LIMIT = Counter(
    "mamba_connections_near_limit", "Connections accepted with few file descriptors left."
)


def _codes(refusal: type[Refusal] = Refusal) -> Iterator[str]:
    yield refusal.code
    for narrower in refusal.__subclasses__():
        yield from _codes(narrower)


# An alert detects the first increase only if the series exists with the value 0 before.
for _code in _codes():
    _REFUSALS.labels(_code)
for _card in BUILT_IN_AGENTS:
    AGENT_LABELS.add(_card.name)
    _ACCEPTED.labels(_card.name)
for _outcome in ("complete", "client_gone", "cut"):
    _STREAMS.labels(_outcome)


def count_stream_clients() -> int:
    """Return the clients that follow a run, over all processes that share these metrics."""
    [family] = STREAM_CLIENTS.collect()
    return round(sum(sample.value for sample in family.samples))


class RequestOutcome(NamedTuple):
    """The result of one request."""

    method: str
    #: The route's path template; None if no route matched.
    route: str | None
    #: 0 if the client disconnected before the response started.
    status: int
    #: Time until the response started; None if it never did.
    seconds: float | None
    #: The stream's outcome; None if the response is not a stream.
    stream: str | None


def count_request(request: RequestOutcome) -> None:
    method = request.method if request.method in _METHODS else "other"
    route = request.route or "other"
    _REQUESTS.labels(method, route, "500")  # exported as 0 before the first server error
    _REQUESTS.labels(method, route, str(request.status or "none")).inc()
    if request.seconds is not None:
        _DURATION.labels(method, route).observe(request.seconds)
    if request.stream is not None:
        _STREAMS.labels(request.stream).inc()


def count_refusal(code: str) -> None:
    _REFUSALS.labels(code).inc()


def count_accepted_run(agent: str) -> None:
    """Count an accepted run. `agent` must be in the catalog."""
    AGENT_LABELS.add(agent)
    _ACCEPTED.labels(AGENT_LABELS.label(agent)).inc()
