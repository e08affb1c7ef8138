"""A worker starts one run after another, unless a start waits for something else."""

import asyncio
from collections.abc import AsyncGenerator, Callable

import pytest

from worker.jobs import running_runs
from worker.jobs.running_runs import RunningRun, RunningRuns


async def _is_pending(task: "asyncio.Task[None]") -> bool:
    """Let the event loop run what is ready, and return whether the task still waits."""
    for _ in range(10):
        await asyncio.sleep(0)
    return not task.done()


class StartingRuns:
    """Runs that have entered, and end on request."""

    def __init__(self) -> None:
        self.running = RunningRuns()
        self.entered: dict[str, RunningRun] = {}
        self._ends: dict[str, asyncio.Event] = {}
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, *names: str) -> None:
        for name in names:
            self._ends[name] = asyncio.Event()
            self._tasks.append(asyncio.create_task(self._run(name)))

    async def _run(self, name: str) -> None:
        with self.running.enter(name) as self.entered[name]:
            await self._ends[name].wait()

    def prepare(self, name: str) -> None:
        self.entered[name].prepared.set()

    def end(self, name: str) -> None:
        self._ends[name].set()

    async def end_all(self) -> None:
        for name in self._ends:
            self.end(name)
        await asyncio.gather(*self._tasks)


@pytest.fixture
async def runs(monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[StartingRuns]:
    monkeypatch.setattr(running_runs, "_MAX_START_SECONDS", 60.0)
    runs = StartingRuns()
    yield runs
    await runs.end_all()


async def test_one_start_does_not_delay_the_next_claim(runs: StartingRuns) -> None:
    runs.start("a")

    await runs.running.wait_for_starts()

    assert [*runs.running] == ["a"]


@pytest.mark.parametrize("finish", [StartingRuns.prepare, StartingRuns.end])
async def test_second_start_delays_the_next_claim(
    runs: StartingRuns, finish: Callable[[StartingRuns, str], None]
) -> None:
    runs.start("a", "b")
    waiting = asyncio.create_task(runs.running.wait_for_starts())
    assert await _is_pending(waiting)

    finish(runs, "a")

    await waiting


async def test_start_that_waits_for_something_else_delays_nothing(
    runs: StartingRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running_runs, "_MAX_START_SECONDS", 0.0)
    runs.start("a", "b", "c")

    await runs.running.wait_for_starts()

    assert [*runs.running] == ["a", "b", "c"]
