"""Stopping runs, on real Redis."""

from typing import Any, cast

from shared.queue.job_queue import JobQueue
from shared.redis.client import Redis
from shared.runs.control import RunControl
from shared.runs.ended_runs import EndedRuns
from shared.runs.finalize import RunEnding, RunFinalizer
from shared.runs.run import Run
from shared.runs.store import RunStore
from shared.streams.event_stream import EventStream
from shared.streams.run_state import RunState
from tests.support.stream_harness import redis_harness


class _OvertakenFinalizer(RunFinalizer):
    """A worker takes over the run during the first try to end it."""

    def __init__(self, stream: EventStream, ended_runs: EndedRuns) -> None:
        super().__init__(stream, ended_runs)
        self._taken_over_stream = stream
        self.calls = 0

    async def end(self, run: Run, ending: RunEnding) -> bool:
        self.calls += 1
        if self.calls == 1:
            await self._taken_over_stream.take_over(run.id)
            return False
        return await super().end(run, ending)


async def test_stop_ends_a_run_that_a_worker_takes_over_meanwhile(redis: Redis) -> None:
    harness = redis_harness(redis)
    run = await harness.run(await harness.create_run())
    finalizer = _OvertakenFinalizer(harness.stream, EndedRuns(redis, retention=60))
    control = RunControl(
        runs=RunStore(redis, live_ttl=60),
        queue=JobQueue(redis),
        stream=harness.stream,
        followers=cast("Any", None),
        workers=cast("Any", None),
        finalizer=finalizer,
    )

    stopped = await control.stop(run)

    assert stopped.state is RunState.CANCELLED
    assert finalizer.calls == 2
