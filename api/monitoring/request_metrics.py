"""Request, refusal, run and stream counters of the API. See `docs/reference/metrics.md`."""

from typing import NamedTuple

from prometheus_client import Counter, Gauge, Histogram

from shared.errors import QueueFull
from shared.telemetry.metrics import AGENTS

_SECONDS = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
#: Anybody may invent others.
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

_REQUESTS = Counter("mamba_http_requests", "Requests.", ("method", "route", "status"))
_DURATION = Histogram(
    "mamba_http_request_duration_seconds",
    "From a request to the start of its response.",
    ("method", "route"),
    buckets=_SECONDS,
)
_REFUSALS = Counter("mamba_http_refusals", "Requests that were refused, by code.", ("code",))
_ACCEPTED = Counter("mamba_runs_accepted", "Runs that were let in.", ("agent",))
STREAM_CLIENTS = Gauge(
    "mamba_stream_clients", "Clients that follow a run now.", multiprocess_mode="livesum"
)
_STREAMS = Counter("mamba_streams", "Streams that have ended, by how.", ("outcome",))

# What an alert counts from its first time on must have been 0 before.
_REFUSALS.labels(QueueFull.code)
for _outcome in ("complete", "client_gone", "cut"):
    _STREAMS.labels(_outcome)


def count_stream_clients() -> int:
    """How many clients follow a run at this process, also where several share their metrics."""
    [family] = STREAM_CLIENTS.collect()
    return round(sum(sample.value for sample in family.samples))


class RequestOutcome(NamedTuple):
    """A request and its response, at their end."""

    method: str
    #: The route's template; None where no route took it.
    route: str | None
    #: 0 where the client left before there was one.
    status: int
    #: Until the response began; None where it never did.
    seconds: float | None
    #: How the stream ended, where it is one.
    stream: str | None


def count_request(answered: RequestOutcome) -> None:
    method = answered.method if answered.method in _METHODS else "other"
    route = answered.route or "other"
    _REQUESTS.labels(method, route, str(answered.status or "none")).inc()
    if answered.seconds is not None:
        _DURATION.labels(method, route).observe(answered.seconds)
    if answered.stream is not None:
        _STREAMS.labels(answered.stream).inc()


def count_refusal(code: str) -> None:
    _REFUSALS.labels(code).inc()


def count_accepted_run(agent: str) -> None:
    """Count a run that was let in; its agent is one that there is."""
    AGENTS.learn(agent)
    _ACCEPTED.labels(AGENTS.label(agent)).inc()
