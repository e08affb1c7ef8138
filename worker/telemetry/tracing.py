"""The spans of jobs: one for each attempt of a run, and one for each title.

`worker/telemetry/agent_trace.py` creates the spans of agents, model calls and tools.
"""

from collections.abc import AsyncGenerator
from contextlib import AbstractContextManager, asynccontextmanager

from shared.queue.job import GENERATE_TITLE, GenerateTitle, RunChat
from shared.runs.store import RunStore
from shared.telemetry import tracing
from shared.telemetry.tracing import Attributes, Span
from worker.telemetry.attempt_trace import AttemptTrace

_UNTRACED = AttemptTrace()


@asynccontextmanager
async def trace_attempt(job: RunChat, runs: RunStore) -> AsyncGenerator[AttemptTrace]:
    """Trace one attempt, if tracing is on."""
    if (tracer := tracing.active()) is None:
        yield _UNTRACED
        return
    from worker.telemetry.attempt_span import attempt_span  # noqa: PLC0415

    async with attempt_span(tracer, job, runs, job_attributes(job)) as attempt:
        yield attempt


def trace_title(job: GenerateTitle) -> AbstractContextManager[Span]:
    return tracing.span(f"process {GENERATE_TITLE}", "consumer", job_attributes(job), job.trace)


def job_attributes(job: RunChat | GenerateTitle) -> Attributes:
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
