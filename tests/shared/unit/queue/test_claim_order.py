import pytest

from shared.queue.claim_order import ClaimOrder


def _positions(order: ClaimOrder) -> list[int]:
    ranks = [(rank, False) for rank in range(1, order.interactive + 1)]
    ranks += [(rank, True) for rank in range(1, order.background + 1)]
    return [order.position_of(rank, background=background) for rank, background in ranks]


def test_background_jobs_without_a_share_are_last() -> None:
    assert _positions(ClaimOrder(3, 2)) == [1, 2, 3, 4, 5]


def test_background_jobs_with_half_the_share_alternate() -> None:
    assert _positions(ClaimOrder(3, 2, background_share=0.5)) == [1, 3, 5, 2, 4]


def test_background_job_with_enough_owed_seconds_is_next() -> None:
    order = ClaimOrder(2, 1, background_share=0.1, owed=0.9)

    assert _positions(order) == [2, 3, 1]


def test_long_background_jobs_wait_for_more_interactive_ones() -> None:
    order = ClaimOrder(100, 1, background_share=0.1, background_seconds=5)

    assert order.position_of(1, background=True) == 46


@pytest.mark.parametrize("share", [0.05, 0.1, 0.3, 0.7])
def test_each_job_has_its_own_position(share: float) -> None:
    order = ClaimOrder(50, 20, background_seconds=3, background_share=share, owed=0.05)

    assert sorted(_positions(order)) == list(range(1, 71))


def test_last_likely_position_expects_new_interactive_jobs() -> None:
    order = ClaimOrder(0, 10, background_share=0.1, background_part=0.25)

    assert order.likely_positions(10, background=True) == (10, 40)


def test_last_likely_position_expects_overtaking_jobs() -> None:
    order = ClaimOrder(40, 0, advance=0.1)

    assert order.likely_positions(10, 0, background=False) == (10, 10)
    assert order.likely_positions(10, 0.5, background=False) == (10, 10)
    assert order.likely_positions(10, 3, background=False) == (10, 30)
    assert order.likely_positions(10, 600, background=False) == (10, 70)


def test_likely_positions_are_in_jobs_of_mean_duration() -> None:
    order = ClaimOrder(10, 1, interactive_seconds=2, background_seconds=20, mean_seconds=4)

    assert order.likely_positions(1, background=True)[0] == 6
    assert order.likely_positions(3, background=False) == (2, 2)
