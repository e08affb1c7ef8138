"""Trace spans of runs, and the ids in the log lines of their requests.

`api/monitoring/request_trace.py` records the spans of requests.
"""

from collections.abc import Generator
from contextlib import contextmanager

from shared.runs.run import Run
from shared.telemetry import tracing
from shared.telemetry.logs import bind_from_here, pseudonym


def trace_run(run: Run) -> None:
    """Add the run to the request's span and log lines.

    The span has the run's id, and a link to the run's trace if it has one.
    """
    bind_from_here(run_id=run.id, chat=pseudonym(run.chat_id))
    span = tracing.current()
    span.set({"mamba.run.id": run.id})
    if run.traceparent:
        span.link({"traceparent": run.traceparent})


@contextmanager
def enqueue_span(
    kind: str, job_id: str, queue: str, *, after: Run | None = None
) -> Generator[dict[str, str]]:
    """Record the enqueueing of a job. Yields the trace headers for the worker's child spans.

    `after` is the run that this run continues; the span links to its trace.
    """
    attributes = {
        "messaging.system": "arq",
        "messaging.operation.type": "send",
        "messaging.operation.name": "enqueue",
        "messaging.destination.name": queue,
        "messaging.message.id": job_id,
    }
    with tracing.span(f"enqueue {kind}", "producer", attributes) as span:
        if after is not None and after.traceparent:
            span.link({"traceparent": after.traceparent})
        yield span.carrier
