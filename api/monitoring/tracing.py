"""Spans of runs. `api/http/request_trace.py` has the spans of requests."""

from collections.abc import Generator
from contextlib import contextmanager

from shared.runs.run import Run
from shared.telemetry import tracing


def trace_run(run: Run) -> None:
    """Say which run the current request is about, and point at its trace, if that is another."""
    span = tracing.current()
    span.set({"mamba.run.id": run.id})
    if run.traceparent:
        span.link({"traceparent": run.traceparent})


@contextmanager
def enqueue_span(
    kind: str, job_id: str, queue: str, *, after: Run | None = None
) -> Generator[dict[str, str]]:
    """The way of a job into its queue; and what goes with it, for the worker to go on below.

    `after` is the run that this one continues: it has a trace of its own.
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
