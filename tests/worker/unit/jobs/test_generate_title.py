"""Interrupted title jobs."""

import asyncio
from typing import Any, cast

import pytest
from arq.worker import RetryJob

from shared.queue.job import GenerateTitle
from shared.telemetry.tracing import Span
from worker.jobs.generate_title import TitleRunner
from worker.jobs.running_runs import Interrupt, RunningRuns


class WaitingTitleRunner(TitleRunner):
    """Waits for its model forever."""

    requested: asyncio.Event

    async def _request_title(self, job: GenerateTitle, span: Span) -> str | None:  # noqa: ARG002
        self.requested.set()
        await asyncio.Event().wait()
        return None


async def interrupt_title(interrupt: Interrupt) -> object:
    running, unused = RunningRuns(), cast("Any", None)
    runner = WaitingTitleRunner(unused, unused, running, unused, unused)
    runner.requested = asyncio.Event()
    job = GenerateTitle(title_id="t", request_id="r", excerpt="Hi", model="m", max_length=50)
    task = asyncio.create_task(runner({"job_id": "t"}, job.model_dump(mode="json")))
    await runner.requested.wait()
    running.cancel("t", interrupt)
    [result] = await asyncio.gather(task, return_exceptions=True)
    return result


@pytest.mark.parametrize(
    ("interrupt", "outcome"),
    [(Interrupt.STOP, type(None)), (Interrupt.TAKEN_OVER, RetryJob)],
    ids=["stopped", "lease lost"],
)
async def test_interrupted_title_ends_or_stays_queued(
    interrupt: Interrupt, outcome: type[object]
) -> None:
    assert isinstance(await interrupt_title(interrupt), outcome)
