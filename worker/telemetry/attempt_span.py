"""The span of an attempt. Imported only if tracing is on.

A span is exported when it ends, so a killed worker loses the span of its attempt. Each attempt
therefore stores its span id and start time in the run's hash. The next attempt finds this record
and exports the missing span under the same id, so that the spans of its model calls and tools,
which were already exported, keep their parent.
"""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

from shared.errors import StreamClosed, StreamError
from shared.queue.job import RUN_CHAT, RunChat
from shared.redis.client import REDIS_UNAVAILABLE, RedisError
from shared.runs.store import RunStore
from shared.streams.event_stream import Closure, Takeover
from shared.streams.run_state import RunState
from shared.telemetry.tracing import Attributes
from shared.telemetry.tracing.tracer import Tracer, context_of
from worker.telemetry.attempt_trace import AttemptTrace

_NAME = f"process {RUN_CHAT}"


@asynccontextmanager
async def attempt_span(
    tracer: Tracer, job: RunChat, runs: RunStore, attributes: Attributes
) -> AsyncGenerator["AttemptSpan"]:
    """Open the span of one attempt. The way this context ends sets the span's outcome."""
    attempt = AttemptSpan(tracer, job, runs, attributes)
    try:
        with tracer.within(attempt.span):
            yield attempt
    except StreamClosed:
        await attempt.end("already_ended")
        raise
    except StreamError:
        raise  # another attempt has taken the run over, and reports this attempt as crashed
    except asyncio.CancelledError:
        await attempt.end("handed_over")
        raise
    except Exception as error:
        attempt.span.fail(type(error).__qualname__)
        await attempt.end("broken")
        raise
    else:
        await attempt.end(attempt.outcome)


class AttemptSpan(AttemptTrace):
    def __init__(
        self, tracer: Tracer, job: RunChat, runs: RunStore, attributes: Attributes
    ) -> None:
        self._tracer = tracer
        self._job = job
        self._runs = runs
        self._attributes = attributes
        self._context = context_of(job.trace)
        self._began_at = time.time_ns()
        self.span = tracer.start(
            _NAME, "consumer", attributes, self._context, began_at=self._began_at
        )
        self.outcome = "ended"
        #: The number of the attempt, if the run's hash holds the record of its span.
        self._attempt: int | None = None

    async def begin(self, takeover: Takeover) -> None:
        self.span.set({"mamba.attempt": takeover.attempt})
        if not self.span.recorded:
            return
        self._attempt = takeover.attempt
        record = f"{self.span.id} {takeover.attempt} {self._began_at}"
        if crashed := await self._swap_record(takeover.attempt, record):
            self._export_crashed_span(*crashed.split())

    def fail(self, code: str) -> None:
        self.outcome = "failed"
        self.span.set({"mamba.run.error": code})
        self.span.fail(code)

    def close(self, closure: Closure) -> None:
        self.outcome = "ended"
        self.span.set({"mamba.run.state": closure.state.value, "mamba.run.error": closure.error})
        if closure.state is RunState.FAILED and closure.error:
            self.span.fail(closure.error)

    async def end(self, outcome: str) -> None:
        self.span.set({"mamba.outcome": outcome})
        self.span.end()
        if self._attempt is not None and outcome not in ("ended", "already_ended"):
            await self._swap_record(self._attempt, "")

    async def _swap_record(self, attempt: int, record: str) -> str | None:
        with suppress(*REDIS_UNAVAILABLE, RedisError):
            return await self._runs.swap_trace(self._job.run_id, attempt, record)
        return None

    def _export_crashed_span(self, span_id: str, attempt: str, began_at: str) -> None:
        span = self._tracer.start(
            _NAME,
            "consumer",
            {**self._attributes, "mamba.attempt": int(attempt), "mamba.outcome": "crashed"},
            self._context,
            began_at=int(began_at),
            span_id=span_id,
        )
        span.fail("crashed")
        span.end()
