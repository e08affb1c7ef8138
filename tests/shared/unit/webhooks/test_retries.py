import random
from itertools import pairwise

import pytest

from shared.webhooks.retries import GIVE_UP_SECONDS, retry_delay

_DAY = 24 * 3600


def test_delays_grow_to_four_hours_with_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random, "uniform", max)
    longest = [retry_delay(count, 0) for count in range(1, 12)]
    monkeypatch.setattr(random, "uniform", min)
    shortest = [retry_delay(count, 0) for count in range(1, 12)]

    assert longest[:4] == [5, 15, 45, 135]
    assert all(later >= earlier for earlier, later in pairwise(filter(None, longest)))
    assert longest[-1] == 4 * 3600
    assert shortest == [delay / 2 for delay in longest if delay]


def test_attempts_end_exactly_a_day_after_the_first() -> None:
    age, attempts, delay = 0.0, 0, retry_delay(1, 0)
    while delay is not None:
        age, attempts = age + delay, attempts + 1
        delay = retry_delay(attempts + 1, age)

    assert age == GIVE_UP_SECONDS == _DAY
    assert 10 <= attempts <= 25


def test_retry_after_is_the_shortest_delay() -> None:
    assert retry_delay(1, 0, retry_after=600) == 600
    assert (retry_delay(9, 0, retry_after=1) or 0) > 600


def test_retry_after_is_limited_to_the_day() -> None:
    assert retry_delay(1, _DAY - 60, retry_after=7200) == 60
    assert retry_delay(1, 0, retry_after=1e12) == _DAY


def test_nothing_is_repeated_after_a_day() -> None:
    assert retry_delay(5, _DAY, retry_after=1) is None


def test_many_failures_are_no_error() -> None:
    assert retry_delay(100_000, 0) is not None
