"""What is counted, for Prometheus: what the API and the workers have in common, and how it is told.

A metric is like a logger: it belongs to its module, and its values to the process. Labels are
bounded, and name no owner, no chat and no run. Where several API processes share a port, each
writes to files in `PROMETHEUS_MULTIPROC_DIR`, and any of them tells the sum.
"""

import os
from collections.abc import Iterable, Iterator

import prometheus_client
from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from shared.runs.run import Run, RunState
from shared.version import installed_version

#: What says when each series began: twice the series, and nobody draws them.
prometheus_client.disable_created_metrics()

#: Names that a label may take; what comes later is `other`.
_MOST_NAMES = 100
#: The variable that names the folder of processes that count together; it is the library's.
METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"

#: From a token of a model next door to an answer that took its whole time.
DURATION_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0)
#: A round trip to Redis.
LATENCY_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)


class LabelValues:
    """The values of a label: names that were seen to be real. All others are `other`."""

    def __init__(self) -> None:
        self._known: set[str] = set()

    def add(self, name: str) -> None:
        """Tell this name from the others from now on."""
        if len(self._known) < _MOST_NAMES:
            self._known.add(name)

    def label(self, name: str) -> str:
        return name if name in self._known else "other"


#: Learnt where an agent is found.
AGENT_LABELS = LabelValues()
#: Learnt from the settings, and where a model has begun to answer: a request may hold any name.
MODEL_LABELS = LabelValues()

RUNS = Counter("mamba_runs", "Runs that have ended.", ("agent", "model", "outcome"))
RUN_ERRORS = Counter("mamba_run_errors", "Runs that have failed, by their code.", ("code",))
STREAM_CATCH_UPS = Counter(
    "mamba_stream_catch_ups", "Reads of a log to catch up with it.", ("reason",)
)
STREAM_GAPS = Counter("mamba_stream_gaps", "Offsets that a log lacks: events that were lost.")
SETTINGS_LOADED = Gauge(
    "mamba_settings_loaded",
    "1 while what the settings' files say is in force; 0: they are wrong, and the old ones hold.",
    multiprocess_mode="livemin",
)
_BUILD = Gauge(
    "mamba_build_info", "1, with the version that runs.", ("version",), multiprocess_mode="livemax"
)


def set_process_info() -> None:
    """Tell which version this process is of, and that its settings are in force."""
    _BUILD.labels(installed_version()).set(1)
    SETTINGS_LOADED.set(1)


def count_run(agent: str, model: str, state: RunState, error: str | None) -> None:
    """Count a run that has ended; `error` is a code of ours."""
    RUNS.labels(AGENT_LABELS.label(agent), MODEL_LABELS.label(model), state.value).inc()
    if error is not None:
        RUN_ERRORS.labels(error).inc()


def count_closed(run: Run, state: RunState, error: str | None) -> None:
    """Count a run that somebody else than its worker has ended."""
    count_run(run.agent, run.model, state, error)


def exposition(accept: str, also: Iterable[Metric] = ()) -> tuple[bytes, str]:
    """All that is counted, with `also`, in the format that is accepted; and its content type."""
    encode, content_type = choose_encoder(accept)
    return encode(_Together(_counted(), also)), content_type


def _counted() -> Collector:
    if METRICS_FOLDER not in os.environ:
        return REGISTRY
    registry = CollectorRegistry()
    MultiProcessCollector(registry)
    return registry


class _Together(Collector):
    def __init__(self, counted: Collector, also: Iterable[Metric]) -> None:
        self._counted = counted
        self._also = also

    def collect(self) -> Iterator[Metric]:
        yield from self._counted.collect()
        yield from self._also
