"""Counters of a process, read from its metrics, and quantiles of their buckets."""

import pytest
from pydantic_ai.usage import RunUsage

from api.monitoring.request_metrics import count_accepted_run
from shared.processes.counters import SOURCES, CounterReader, Counters, quantile
from shared.streams.run_state import RunState
from shared.telemetry.metrics import DURATION_BUCKETS, count_run
from tests.support.reference.metrics import defined_metrics
from worker.telemetry.metrics import RUN_WAIT, count_first_token, count_usage


def test_counters_exclude_counts_before_the_reader() -> None:
    count_accepted_run("chat")
    reader = CounterReader()

    count_accepted_run("chat")
    for state, times in ((RunState.SUCCEEDED, 3), (RunState.FAILED, 2), (RunState.CANCELLED, 1)):
        for model in ("m", "n")[:times]:
            count_run("chat", model, state.value, None)
    count_usage("m", RunUsage(input_tokens=1000, output_tokens=70))
    RUN_WAIT.labels("mamba:queue").observe(0.3)
    count_first_token("chat", "m", 0.3)
    count_first_token("chat", "n", 1e6)

    counters = reader.read()
    assert (counters.accepted, counters.succeeded, counters.failed, counters.cancelled) == (
        1,
        2,
        2,
        1,
    )
    assert counters.tokens == 70
    assert (sum(counters.wait), sum(counters.first_token)) == (1, 2)
    assert counters.wait[DURATION_BUCKETS.index(0.5)] == 1
    assert counters.first_token[-1] == 1
    assert CounterReader().read() == Counters()


def test_counter_sources_are_defined_metrics() -> None:
    names = {name.removesuffix("_bucket") for name in SOURCES}

    assert names <= set(defined_metrics())


@pytest.mark.parametrize(
    ("counts", "share", "seconds"),
    [
        ({}, 0.5, None),
        ({0: 1}, 0.5, DURATION_BUCKETS[0] / 2),
        ({3: 10}, 0.5, (DURATION_BUCKETS[2] + DURATION_BUCKETS[3]) / 2),
        ({3: 95, 9: 5}, 0.95, DURATION_BUCKETS[3]),
        ({len(DURATION_BUCKETS): 4}, 0.95, DURATION_BUCKETS[-1]),
    ],
)
def test_quantile_interpolates_within_its_bucket(
    counts: dict[int, int], share: float, seconds: float | None
) -> None:
    buckets = tuple(counts.get(index, 0) for index in range(len(DURATION_BUCKETS) + 1))

    assert quantile(buckets, share) == (None if seconds is None else pytest.approx(seconds))
