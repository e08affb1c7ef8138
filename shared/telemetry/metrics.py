"""Prometheus metrics that the API and the workers share, and their exposition.

Labels are bounded and never contain an owner, a chat or a run. API processes that share a port
write to files in `PROMETHEUS_MULTIPROC_DIR`, and each of them exposes the sum.
"""

import os
from collections.abc import Iterable, Iterator

import prometheus_client
from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from shared.telemetry.metrics_folder import METRICS_FOLDER
from shared.version import installed_version

#: `_created` series would double the number of series.
prometheus_client.disable_created_metrics()

#: Maximum number of values of a label; further values become `other`.
_MAX_LABEL_VALUES = 100

#: Bucket bounds in seconds, from the first token of a local model to a run's maximum duration.
DURATION_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0)
#: Bucket bounds in seconds for a Redis round trip.
LATENCY_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)


class LabelValues:
    """The accepted values of a label. All other values become `other`."""

    def __init__(self) -> None:
        self._known: set[str] = set()

    def add(self, name: str) -> None:
        """Accept a name as a label value."""
        if len(self._known) < _MAX_LABEL_VALUES:
            self._known.add(name)

    def label(self, name: str) -> str:
        return name if name in self._known else "other"


#: Names of agents that exist.
AGENT_LABELS = LabelValues()
#: Models from the settings, and models that have responded. A request may contain any name.
MODEL_LABELS = LabelValues()

OUTCOMES = ("succeeded", "failed", "cancelled")

RUNS = Counter("mamba_runs", "Runs ended, by outcome.", ("agent", "model", "outcome"))
RUN_ERRORS = Counter("mamba_run_errors", "Runs failed, by error code.", ("code",))
STREAM_CATCH_UPS = Counter(
    "mamba_stream_catch_ups", "Reads of a stream to catch up with it.", ("reason",)
)
for _reason in ("subscribed", "more", "slow", "missed", "memory"):
    STREAM_CATCH_UPS.labels(_reason)
STREAM_GAPS = Counter(
    "mamba_stream_gaps", "Offsets missing from a stream, which means lost events."
)
CONFIRM_SECONDS = Histogram(
    "mamba_redis_confirm_seconds",
    "Time of a Redis call including its confirmation by replicas.",
    buckets=LATENCY_BUCKETS,
)
UNCONFIRMED = Counter(
    "mamba_redis_unconfirmed", "Redis calls that too few replicas confirmed in time."
)
BACKGROUND_FAILURES = Counter(
    "mamba_background_failures", "Unexpected errors of background tasks.", ("task",)
)
SETTINGS_LOADED = Gauge(
    "mamba_settings_loaded",
    "1 if the current settings files are in effect, 0 if they were rejected.",
    multiprocess_mode="livemin",
)
_BUILD = Gauge(
    "mamba_build_info",
    "Always 1; the label holds the running version.",
    ("version",),
    multiprocess_mode="livemax",
)


def set_process_info() -> None:
    """Set the version of this process, and mark its settings as loaded."""
    _BUILD.labels(installed_version()).set(1)
    SETTINGS_LOADED.set(1)


def expect_run(agent: str, model: str) -> None:
    """Export 0 for each outcome: `increase()` misses the first count of a series without it."""
    for outcome in OUTCOMES:
        RUNS.labels(AGENT_LABELS.label(agent), MODEL_LABELS.label(model), outcome)


def count_run(agent: str, model: str, outcome: str, error: str | None) -> None:
    """Count an ended run; `error` is an error code."""
    expect_run(agent, model)
    RUNS.labels(AGENT_LABELS.label(agent), MODEL_LABELS.label(model), outcome).inc()
    if error is not None:
        RUN_ERRORS.labels(error).inc()


def exposition(accept: str, also: Iterable[Metric] = ()) -> tuple[bytes, str]:
    """Return all metrics, plus `also`, in the accepted format, and the content type."""
    encode, content_type = choose_encoder(accept)
    return encode(_CombinedCollector(_process_collector(), also)), content_type


def _process_collector() -> Collector:
    if METRICS_FOLDER not in os.environ:
        return REGISTRY
    registry = CollectorRegistry()
    MultiProcessCollector(registry)
    return registry


class _CombinedCollector(Collector):
    def __init__(self, counted: Collector, also: Iterable[Metric]) -> None:
        self._counted = counted
        self._also = also

    def collect(self) -> Iterator[Metric]:
        yield from self._counted.collect()
        yield from self._also
