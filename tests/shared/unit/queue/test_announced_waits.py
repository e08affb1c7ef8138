import pytest

from shared.queue.announced_waits import AnnouncedWait


@pytest.mark.parametrize(
    ("real", "outcome", "ratio"), [(4.9, "early", 0.49), (5, "inside", 0.5), (15.1, "late", 1.51)]
)
def test_real_wait_is_compared_with_the_range(real: float, outcome: str, ratio: float) -> None:
    wait = AnnouncedWait(5, 15, real)

    assert wait.outcome == outcome
    assert wait.ratio == pytest.approx(ratio)
