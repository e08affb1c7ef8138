"""Metrics of a worker: runs, attempts, tokens, leases, slots. See `docs/reference/metrics.md`."""

from decimal import Decimal

from prometheus_client import Counter, Gauge, Histogram
from pydantic_ai.usage import RunUsage

from shared.telemetry.metrics import AGENTS, MODELS, QUICK_SECONDS, SECONDS

RUN_WAIT = Histogram(
    "mamba_run_wait_seconds",
    "From a run's admission to its first start.",
    ("queue",),
    buckets=SECONDS,
)
_FIRST_TOKEN = Histogram(
    "mamba_run_first_token_seconds",
    "From a run's admission to the first thing that its reader sees.",
    ("agent", "model"),
    buckets=SECONDS,
)
_DURATION = Histogram(
    "mamba_run_duration_seconds",
    "From a run's first start to its end.",
    ("agent", "model"),
    buckets=SECONDS,
)
ATTEMPTS_BEGUN = Counter("mamba_attempts_begun", "Attempts that have begun.")
ATTEMPTS = Counter("mamba_attempts", "Attempts that have ended, by how.", ("outcome",))
_TOKENS = Counter("mamba_tokens", "Tokens that models have told of.", ("model", "kind"))
_COST = Counter("mamba_cost_dollars", "What they cost, where the price is known.", ("model",))
LEASES_LOST = Counter("mamba_leases_lost", "Jobs whose lease another worker has taken.")
REFUSED = Counter("mamba_appends_refused", "Appends that the log has refused.", ("reason",))
APPEND = Histogram(
    "mamba_append_seconds", "One group commit: a round trip to Redis.", buckets=QUICK_SECONDS
)
RUNNING = Gauge("mamba_worker_runs", "Runs that this worker works on.")
PLACES = Gauge("mamba_worker_slots", "Runs that this worker would work on at most.")
DRAINING = Gauge("mamba_worker_draining", "1 while this worker takes nothing new.")


# What an alert counts from its first time on must have been 0 before.
for _reason in ("fenced", "closed", "gap", "other"):
    REFUSED.labels(_reason)
for _outcome in ("ended", "failed", "handed_over", "lost", "broken"):
    ATTEMPTS.labels(_outcome)


def count_first_token(agent: str, model: str, seconds: float) -> None:
    """The model has begun to answer: its name is one that there is."""
    MODELS.learn(model)
    _FIRST_TOKEN.labels(AGENTS.label(agent), MODELS.label(model)).observe(seconds)


def count_duration(agent: str, model: str, seconds: float) -> None:
    _DURATION.labels(AGENTS.label(agent), MODELS.label(model)).observe(seconds)


def count_usage(model: str, used: RunUsage) -> None:
    """What a model has told since it was last counted."""
    name = MODELS.label(model)
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
