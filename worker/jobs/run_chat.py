"""The job `run_chat`: run attempts until the run ends, is handed over, or is taken over.

Each attempt continues from what the stream already holds. It ends in one of these ways: closed
(exactly one `finish`, `error` or `abort`, then `[DONE]`), retried after a pause, handed over
(the worker shuts down), or taken over (another worker has the run; this one writes nothing).
"""

import asyncio
import random
from collections.abc import Callable
from typing import Any, Protocol

import structlog
from arq.worker import Retry, RetryJob
from pydantic import ValidationError

from shared.errors import StreamClosed, StreamError
from shared.queue.job import RunChat
from shared.runs.ended_runs import EndedRunParameters
from shared.settings import RunSettings
from shared.telemetry.logs import bind, raise_location
from worker.agents.engine import AgentEngine
from worker.jobs.attempt import RunServices
from worker.jobs.attempt_runner import AttemptRunner
from worker.jobs.running_runs import RunningRun, RunningRuns
from worker.models.run_failures import DROPPED, UNKNOWN_AGENT, UNREADABLE, Failure
from worker.telemetry.metrics import ATTEMPTS

log = structlog.stdlib.get_logger()

#: The pause after an attempt that ended in an unexpected error or because Redis was unavailable.
_ERROR_PAUSE_SECONDS = 0.5
#: Bounds of the delay after which a run that was handed back is due again.
_MIN_HAND_BACK_SECONDS, _MAX_HAND_BACK_SECONDS = 0.3, 5.0


class AgentLookup(Protocol):
    def get(self, name: str, /) -> AgentEngine | None: ...


class ChatRunner:
    """Runs the job `run_chat`: attempts of one run, until this worker is done with it."""

    def __init__(
        self,
        services: RunServices,
        attempts: AttemptRunner,
        running: RunningRuns,
        agents: AgentLookup,
        settings: Callable[[], RunSettings],
    ) -> None:
        self._runs = services.runs
        self._finalizer = services.finalizer
        self._attempts = attempts
        self._running = running
        self._agents = agents
        self._settings = settings

    async def __call__(
        self, ctx: dict[str, Any], args: object = None, *_: Any, **__: Any
    ) -> EndedRunParameters | None:
        """Run a job, and return how to record the end of its run if an attempt has ended it."""
        job = _decode(args)
        run_id = job.run_id if job else ctx["job_id"]
        ids = {"run_id": run_id, **({"request_id": job.request_id} if job else {})}
        with bind(**ids), self._running.enter(run_id) as running_run:
            try:
                if job is None:
                    await self.drop(run_id, UNREADABLE)
                else:
                    await self._run(job, running_run)
            except Retry:
                raise
            except StreamClosed:
                log.info("run.already_ended", message="Run had already ended")
            except StreamError as error:
                # The lease holder continues: another worker, or this one in its next attempt.
                log.warning(
                    "run.taken_over",
                    message="This attempt can no longer write; another one continues the run",
                    reason=type(error).__name__,
                )
                ATTEMPTS.labels("taken_over").inc()
                raise RetryJob from error
            except Exception as error:
                # The job stays in the queue, and its next attempt counts this one as a crash.
                ATTEMPTS.labels("broken").inc()
                log.error(  # noqa: TRY400  (messages of errors may hold prompts)
                    "run.broken",
                    message="Attempt ended in an unexpected error and will be retried",
                    error=type(error).__name__,
                    where=raise_location(error),
                )
                await asyncio.sleep(_ERROR_PAUSE_SECONDS)
                raise RetryJob from error
            return running_run.ended

    async def drop(self, run_id: str, failure: Failure = DROPPED) -> None:
        """Fail a run whose job cannot be executed."""
        if run := await self._runs.get(run_id):
            await self._finalizer.end(run, failure.ending(run.request_id))

    async def _run(self, job: RunChat, running_run: RunningRun) -> None:
        agent = self._agents.get(job.agent)
        if agent is None:
            await self._hand_back(job)
            return
        while not await self._attempts.run(job, agent, running_run):
            pass

    async def _hand_back(self, job: RunChat) -> None:
        """Leave a run to a worker that has its agent. During a rollout, versions differ.

        The run does not occupy a slot until it is due again, and is claimed less often the longer
        it waits.
        """
        waited = await self._runs.hand_back(job.run_id)
        if waited is None:
            raise StreamClosed
        log.warning(
            "run.unknown_agent",
            message="Run handed back because this worker does not have its agent",
            agent=job.agent,
            waited=waited,
        )
        if waited >= self._settings().agent_wait_seconds:
            await self.drop(job.run_id, UNKNOWN_AGENT)
            return
        delay = min(max(waited / 4, _MIN_HAND_BACK_SECONDS), _MAX_HAND_BACK_SECONDS)
        raise Retry(defer=random.uniform(0.5, 1) * delay)  # noqa: S311


def _decode(args: object) -> RunChat | None:
    try:
        return RunChat.model_validate(args)
    except ValidationError:
        return None
