"""Counters of one process, derived from its Prometheus metrics."""

from bisect import bisect_left
from collections.abc import Iterable
from itertools import pairwise

from prometheus_client import REGISTRY
from prometheus_client.samples import Sample
from pydantic import BaseModel, ConfigDict

from shared.telemetry.metrics import DURATION_BUCKETS

_RUNS, _ACCEPTED, _TOKENS = "mamba_runs_total", "mamba_runs_accepted_total", "mamba_tokens_total"
_ATTEMPTS = "mamba_attempts_total"
_WAIT, _FIRST_TOKEN = "mamba_run_wait_seconds_bucket", "mamba_run_first_token_seconds_bucket"
#: Names of the metrics that the counters are derived from.
SOURCES = (_RUNS, _ACCEPTED, _TOKENS, _ATTEMPTS, _WAIT, _FIRST_TOKEN)

_NONE = (0,) * (len(DURATION_BUCKETS) + 1)


class Counters(BaseModel):
    """Monotonic counters of a process since its start."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    #: Accepted runs, and ended runs by outcome.
    accepted: int = 0
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0
    #: Attempts of other workers that crashed, found by this one.
    crashed: int = 0
    #: Output tokens.
    tokens: int = 0
    #: Counts per bucket of `DURATION_BUCKETS`; the last bucket has no upper bound.
    wait: tuple[int, ...] = _NONE
    first_token: tuple[int, ...] = _NONE

    def __add__(self, other: "Counters") -> "Counters":
        return self._with(other, 1)

    def __sub__(self, earlier: "Counters") -> "Counters":
        return self._with(earlier, -1)

    def _with(self, other: "Counters", sign: int) -> "Counters":
        def buckets(left: tuple[int, ...], right: tuple[int, ...]) -> tuple[int, ...]:
            return tuple(a + sign * b for a, b in zip(left, right, strict=False))

        return Counters(
            accepted=self.accepted + sign * other.accepted,
            succeeded=self.succeeded + sign * other.succeeded,
            failed=self.failed + sign * other.failed,
            cancelled=self.cancelled + sign * other.cancelled,
            crashed=self.crashed + sign * other.crashed,
            tokens=self.tokens + sign * other.tokens,
            wait=buckets(self.wait, other.wait),
            first_token=buckets(self.first_token, other.first_token),
        )


class CounterReader:
    """Reads the counters of this process relative to the creation of the reader."""

    def __init__(self) -> None:
        self._before = _read()

    def read(self) -> Counters:
        return _read() - self._before


def quantile(buckets: tuple[int, ...], share: float) -> float | None:
    """Return a quantile in seconds, or None if nothing was counted.

    Interpolates within a bucket like `histogram_quantile` of Prometheus.
    """
    rank = share * sum(buckets)
    if rank <= 0:
        return None
    sums = [0]
    for count in buckets:
        sums.append(sums[-1] + count)
    index = bisect_left(sums, rank) - 1
    if index >= len(DURATION_BUCKETS):
        return DURATION_BUCKETS[-1]
    lower, upper = (0.0, *DURATION_BUCKETS)[index], DURATION_BUCKETS[index]
    return lower + (upper - lower) * (rank - sums[index]) / buckets[index]


def _read() -> Counters:
    """Read the counters of this process, also in multiprocess mode."""
    runs: dict[str, int] = {}
    sums: dict[str, int] = {_ACCEPTED: 0, _TOKENS: 0, _ATTEMPTS: 0}
    buckets: dict[str, dict[str, int]] = {_WAIT: {}, _FIRST_TOKEN: {}}
    for sample in _samples():
        value = round(sample.value)
        if sample.name == _RUNS:
            outcome = sample.labels["outcome"]
            runs[outcome] = runs.get(outcome, 0) + value
        elif sample.name in buckets:
            bound, counts = sample.labels["le"], buckets[sample.name]
            counts[bound] = counts.get(bound, 0) + value
        elif sample.name == _ATTEMPTS:
            sums[_ATTEMPTS] += value if sample.labels["outcome"] == "crashed" else 0
        elif sample.labels.get("kind", "output") == "output":
            sums[sample.name] += value
    return Counters(
        accepted=sums[_ACCEPTED],
        succeeded=runs.get("succeeded", 0),
        failed=runs.get("failed", 0),
        cancelled=runs.get("cancelled", 0),
        crashed=sums[_ATTEMPTS],
        tokens=sums[_TOKENS],
        wait=_per_bucket(buckets[_WAIT].values()),
        first_token=_per_bucket(buckets[_FIRST_TOKEN].values()),
    )


def _samples() -> Iterable[Sample]:
    for family in REGISTRY.restricted_registry(SOURCES).collect():
        yield from family.samples


def _per_bucket(cumulative: Iterable[int]) -> tuple[int, ...]:
    """Convert cumulative Prometheus buckets to counts per bucket."""
    return tuple(after - before for before, after in pairwise((0, *cumulative))) or _NONE
