from shared.backoff import delay_after


def test_last_delay_repeats() -> None:
    assert [delay_after(failures, (1, 2, 5)) for failures in range(5)] == [1, 2, 5, 5, 5]
