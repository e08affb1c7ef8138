"""Metrics of a worker: runs, attempts, tokens, leases, slots. See `docs/reference/metrics.md`."""

from decimal import Decimal
from typing import get_args

from prometheus_client import Counter, Gauge, Histogram
from pydantic_ai.usage import RunUsage

from shared.queue.announced_waits import AnnouncedWait, WaitOutcome
from shared.telemetry.metrics import AGENT_LABELS, DURATION_BUCKETS, LATENCY_BUCKETS, MODEL_LABELS

RUN_WAIT = Histogram(
    "mamba_run_wait_seconds",
    "From an interactive run's admission to its first start.",
    ("queue",),
    buckets=DURATION_BUCKETS,
)
_ANNOUNCED = Counter(
    "mamba_announced_waits",
    "Runs started after an announced wait, by whether they started inside the announced range.",
    ("queue", "outcome"),
)
_ANNOUNCED_RATIO = Histogram(
    "mamba_announced_wait_ratio",
    "Real wait divided by the middle of the announced range.",
    ("queue",),
    buckets=(0.1, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0, 5.0),
)
_FIRST_TOKEN = Histogram(
    "mamba_run_first_token_seconds",
    "From a run's admission to its first visible output.",
    ("agent", "model"),
    buckets=DURATION_BUCKETS,
)
_DURATION = Histogram(
    "mamba_run_duration_seconds",
    "From a run's first start to its end.",
    ("agent", "model"),
    buckets=DURATION_BUCKETS,
)
ATTEMPTS_STARTED = Counter("mamba_attempts_begun", "Attempts started.")
ATTEMPTS = Counter("mamba_attempts", "Attempts ended, by outcome.", ("outcome",))
_TOKENS = Counter("mamba_tokens", "Tokens used, as reported by the models.", ("model", "kind"))
_COST = Counter(
    "mamba_cost_dollars", "Cost of the tokens, for models with a known price.", ("model",)
)
LEASES_LOST = Counter("mamba_leases_lost", "Jobs whose lease another worker has taken over.")
APPENDS_REFUSED = Counter(
    "mamba_appends_refused", "Appends that a run's stream refused.", ("reason",)
)
APPEND_SECONDS = Histogram(
    "mamba_append_seconds",
    "Duration of a group commit: one round trip to Redis.",
    buckets=LATENCY_BUCKETS,
)
WEBHOOK_ATTEMPTS = Counter(
    "mamba_webhook_attempts", "Requests of webhooks, by outcome.", ("destination", "outcome")
)
WEBHOOKS_LOST = Counter(
    "mamba_webhooks_lost", "Webhooks not sent because their run was erased or had expired."
)
RUNNING = Gauge("mamba_worker_runs", "Runs in progress on this worker.")
SLOTS = Gauge("mamba_worker_slots", "Maximum number of concurrent runs on this worker.")
DRAINING = Gauge("mamba_worker_draining", "1 while this worker drains and takes no new runs.")


# `increase()` in an alert misses the first count unless the series already exists with 0.
for _reason in ("fenced", "closed", "gap", "other"):
    APPENDS_REFUSED.labels(_reason)
for _outcome in ("ended", "failed", "handed_over", "taken_over", "broken", "crashed"):
    ATTEMPTS.labels(_outcome)


def count_first_token(agent: str, model: str, seconds: float) -> None:
    """Observe the wait for the first token. The model responded, so its name is a valid label."""
    MODEL_LABELS.add(model)
    _FIRST_TOKEN.labels(AGENT_LABELS.label(agent), MODEL_LABELS.label(model)).observe(seconds)


def count_announced_wait(queue: str, wait: AnnouncedWait) -> None:
    """Count a started run whose wait was announced to a client."""
    for outcome in get_args(WaitOutcome):
        _ANNOUNCED.labels(queue, outcome)
    _ANNOUNCED.labels(queue, wait.outcome).inc()
    _ANNOUNCED_RATIO.labels(queue).observe(wait.ratio)


def count_duration(agent: str, model: str, seconds: float) -> None:
    _DURATION.labels(AGENT_LABELS.label(agent), MODEL_LABELS.label(model)).observe(seconds)


def count_usage(model: str, used: RunUsage) -> None:
    """Count the usage that a model reported since the last call."""
    name = MODEL_LABELS.label(model)
    kinds = {
        "input": used.input_tokens,
        "cached_input": used.cache_read_tokens,
        "output": used.output_tokens,
    }
    for kind, tokens in kinds.items():
        if tokens > 0:
            _TOKENS.labels(name, kind).inc(tokens)
    if (used.cost or Decimal(0)) > 0:
        _COST.labels(name).inc(float(used.cost or 0))
