"""A failed background task is logged and counted, and starts again or ends its process."""

import asyncio
import signal
from collections.abc import Generator
from typing import Any

import pytest
import structlog
from prometheus_client import REGISTRY

from shared import background_task
from shared.background_task import BackgroundTask
from shared.errors import BackgroundTaskFailed


class Flaky(BackgroundTask):
    """Fails a number of times, then runs."""

    def __init__(self, failures: int) -> None:
        self._failures = failures
        self.running = asyncio.Event()

    async def _run(self) -> None:
        if self._failures:
            self._failures -= 1
            raise ValueError("sk-secret")
        self.running.set()
        await asyncio.Event().wait()


class Fragile(Flaky):
    restarts = False


@pytest.fixture(autouse=True)
def no_delays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background_task, "_RESTART_SECONDS", (0.0,))


@pytest.fixture
def terminated() -> Generator[asyncio.Event]:
    """Set when the process receives SIGTERM."""
    event = asyncio.Event()

    def handle(*_: object) -> None:
        event.set()

    previous = signal.signal(signal.SIGTERM, handle)
    yield event
    signal.signal(signal.SIGTERM, previous)


def failures_of(task: str) -> float:
    return REGISTRY.get_sample_value("mamba_background_failures_total", {"task": task}) or 0.0


def events(logs: list[Any]) -> list[tuple[str, str]]:
    return [(entry["event"], entry["log_level"]) for entry in logs]


async def test_failed_task_is_restarted() -> None:
    before = failures_of("Flaky")
    with structlog.testing.capture_logs() as logs:
        async with Flaky(2) as task, asyncio.timeout(5):
            await task.running.wait()
    assert events(logs) == [("background_task.failed", "error")] * 2
    assert failures_of("Flaky") == before + 2
    assert "sk-secret" not in str(logs)


async def test_unsafe_task_ends_the_process(terminated: asyncio.Event) -> None:
    before = failures_of("Fragile")
    with structlog.testing.capture_logs() as logs, pytest.raises(BackgroundTaskFailed):
        async with Fragile(1), asyncio.timeout(5):
            await terminated.wait()
    assert events(logs) == [("background_task.died", "critical")]
    assert failures_of("Fragile") == before + 1


async def test_running_task_is_stopped() -> None:
    async with Flaky(0) as task:
        await task.running.wait()
    with structlog.testing.capture_logs() as logs:
        await task.stop()
    assert logs == []


def test_series_of_a_task_starts_at_zero() -> None:
    class Unused(BackgroundTask):
        pass

    assert (
        REGISTRY.get_sample_value("mamba_background_failures_total", {"task": Unused.__name__}) == 0
    )


async def test_task_ends_if_an_error_replaces_the_cancellation() -> None:
    class Replaces(Flaky):
        async def _run(self) -> None:
            try:
                await super()._run()
            except asyncio.CancelledError:
                raise ValueError from None

    async with asyncio.timeout(10), Replaces(0) as task:
        await task.running.wait()
