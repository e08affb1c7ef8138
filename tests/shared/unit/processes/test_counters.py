"""Totals: read off the metrics, of this process since it started, and what is made of them."""

import pytest
from pydantic_ai.usage import RunUsage

from api.monitoring.request_metrics import count_accepted_run
from shared.processes.counters import SOURCES, CounterReader, Counters, quantile
from shared.streams.run_state import RunState
from shared.telemetry.metrics import DURATION_BUCKETS, count_run
from tests.docs.test_metrics_page import defined
from worker.telemetry.metrics import RUN_WAIT, count_first_token, count_usage


def test_totals_are_what_was_counted_since_whatever_was_counted_before() -> None:
    count_accepted_run("chat")
    counted = CounterReader()

    count_accepted_run("chat")
    for state, times in ((RunState.SUCCEEDED, 3), (RunState.FAILED, 2), (RunState.CANCELLED, 1)):
        for model in ("m", "n")[:times]:
            count_run("chat", model, state, None)
    count_usage("m", RunUsage(input_tokens=1000, output_tokens=70))
    RUN_WAIT.labels("mamba:queue").observe(0.3)
    count_first_token("chat", "m", 0.3)
    count_first_token("chat", "n", 1e6)

    told = counted.read()
    assert (told.accepted, told.succeeded, told.failed, told.cancelled) == (1, 2, 2, 1)
    assert told.tokens == 70
    assert (sum(told.wait), sum(told.first_token)) == (1, 2)
    assert told.wait[DURATION_BUCKETS.index(0.5)] == 1
    assert told.first_token[-1] == 1
    assert CounterReader().read() == Counters()


def test_its_sources_are_metrics_that_there_are() -> None:
    names = {name.removesuffix("_bucket") for name in SOURCES}

    assert names <= set(defined())


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
def test_a_quantile_lies_within_its_bucket(
    counts: dict[int, int], share: float, seconds: float | None
) -> None:
    buckets = tuple(counts.get(place, 0) for place in range(len(DURATION_BUCKETS) + 1))

    assert quantile(buckets, share) == (None if seconds is None else pytest.approx(seconds))
