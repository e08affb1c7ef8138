"""Delays between attempts of a run."""

import random

import pytest

from worker.jobs.retry_policy import pause_after


class FixedRandom(random.Random):
    """A random generator that always returns the same fraction of the range."""

    def __init__(self, fraction: float) -> None:
        super().__init__()
        self._fraction = fraction

    def uniform(self, a: float, b: float) -> float:
        return a + (b - a) * self._fraction


def test_backoff_doubles_up_to_a_cap() -> None:
    pauses = [pause_after(failures, None, FixedRandom(1)) for failures in range(7)]

    assert pauses == [0.5, 1, 2, 4, 8, 8, 8]


def test_backoff_has_full_jitter() -> None:
    assert [pause_after(failures, None, FixedRandom(0)) for failures in range(3)] == [0, 0, 0]
    assert pause_after(2, None, FixedRandom(0.25)) == 0.5


def test_retry_after_is_the_minimum_pause() -> None:
    assert pause_after(0, 7.0, FixedRandom(0)) == 7.0
    assert pause_after(5, 7.0, FixedRandom(1)) == pytest.approx(7.7)
    assert pause_after(5, 0.0, FixedRandom(1)) == 0.0


def test_simultaneous_failures_get_different_pauses() -> None:
    rng = random.Random(1)

    assert len({pause_after(0, None, rng) for _ in range(100)}) == 100
    assert len({pause_after(0, 1.0, rng) for _ in range(100)}) == 100
