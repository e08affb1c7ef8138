"""Jobs in their traces: each attempt at an answer, and each title.

`worker/telemetry/agent_trace.py` has the spans of agents, model calls and tools.
"""

from collections.abc import AsyncGenerator
from contextlib import AbstractContextManager, asynccontextmanager

from shared.queue.job_queue import GENERATE_TITLE, GenerateTitle, RunChat
from shared.runs.store import RunStore
from shared.streams.event_stream import Closure, Takeover
from shared.telemetry import tracing
from shared.telemetry.tracing import Attributes, Span


class AttemptTrace:
    """An attempt that nobody traces; `worker/telemetry/attempt_trace.py` has the other kind."""

    async def begin(self, takeover: Takeover) -> None:
        """It has its number now."""

    def fail(self, code: str) -> None:
        """It has failed, and is tried again."""

    def close(self, closure: Closure) -> None:
        """It has ended its run."""


_UNTRACED = AttemptTrace()


@asynccontextmanager
async def traced_attempt(job: RunChat, runs: RunStore) -> AsyncGenerator[AttemptTrace]:
    """One attempt, as it is told in the run's trace."""
    if (tracer := tracing.active()) is None:
        yield _UNTRACED
        return
    from worker.telemetry.attempt_trace import attempt_span  # noqa: PLC0415

    async with attempt_span(tracer, job, runs, about(job)) as traced:
        yield traced


def traced_title(job: GenerateTitle) -> AbstractContextManager[Span]:
    return tracing.span(f"process {GENERATE_TITLE}", "consumer", about(job), job.trace)


def about(job: RunChat | GenerateTitle) -> Attributes:
    chat = job if isinstance(job, RunChat) else None
    return {
        "messaging.system": "arq",
        "messaging.operation.type": "process",
        "messaging.operation.name": "process",
        "messaging.message.id": job.run_id if isinstance(job, RunChat) else job.title_id,
        "mamba.run.id": chat and chat.run_id,
        "mamba.agent": chat and chat.agent,
        "mamba.model": job.model,
        "mamba.request.id": job.request_id,
    }
