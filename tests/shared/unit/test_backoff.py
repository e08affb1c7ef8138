from shared.backoff import Backoff, delay_after


def test_last_delay_repeats() -> None:
    assert [delay_after(failures, (1, 2, 5)) for failures in range(5)] == [1, 2, 5, 5, 5]


def test_backoff_doubles_up_to_its_limit() -> None:
    backoff = Backoff(0.5, 3)

    assert [backoff.failed() for _ in range(5)] == [0.5, 1, 2, 3, 3]
    assert backoff.succeeded()
    assert not backoff.succeeded()
    assert backoff.failed() == 0.5


def test_backoff_reports_the_first_failure_and_then_one_a_minute() -> None:
    time = 1000.0
    backoff = Backoff(1, 1, now=lambda: time)

    reported: list[float] = []
    for time in (1000.0, 1001.0, 1059.0, 1060.0, 1061.0, 1120.0):
        backoff.failed()
        if backoff.should_log():
            reported.append(time)

    assert reported == [1000.0, 1060.0, 1120.0]
    backoff.succeeded()
    backoff.failed()
    assert backoff.should_log()
