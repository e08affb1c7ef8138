"""OpenTelemetry traces of a request across the queue and processes.

Tracing is off unless the standard variables enable it (`shared/telemetry/tracing/variables.py`).
While it is off, every span is a no-op and OpenTelemetry's SDK is not imported. Each process has one
tracer.
"""

import os
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING

import structlog

from shared.telemetry.tracing.spans import Attributes, Carrier, Kind, Span
from shared.telemetry.tracing.variables import TracingConfigError, read_tracing_plan

if TYPE_CHECKING:
    from shared.telemetry.tracing.tracer import Tracer

__all__ = ["Attributes", "Carrier", "Kind", "Span", "active", "current", "ids", "span", "tracing"]

log = structlog.stdlib.get_logger()

#: The tracer of the process while tracing is on.
_tracer: "Tracer | None" = None
_NOTHING = Span()
_OFF = nullcontext(_NOTHING)


@contextmanager
def tracing(service: str) -> Generator[None]:
    """Trace this process if the variables enable it; `service` is the default service name.

    Logs invalid variables and does not trace. At the end, sends the remaining spans for a bounded
    time.
    """
    global _tracer  # noqa: PLW0603
    started = _start(service)
    if started is None:
        yield
        return
    _tracer = started
    try:
        yield
    finally:
        _tracer = None
        started.close()


def active() -> "Tracer | None":
    """Return the tracer of this process, or None while tracing is off."""
    return _tracer


def span(
    name: str,
    kind: Kind = "internal",
    attributes: Attributes | None = None,
    parent: Carrier | None = None,
) -> AbstractContextManager[Span]:
    """Open a span as a child of `parent` or the current span, and make it current."""
    return _OFF if _tracer is None else _tracer.span(name, kind, attributes or {}, parent)


def current() -> Span:
    return _NOTHING if _tracer is None else _tracer.current()


def ids() -> dict[str, str]:
    """Return the `trace_id` and `span_id` of the current span, for logs."""
    return {} if _tracer is None else _tracer.ids()


def _start(service: str) -> "Tracer | None":
    try:
        if (plan := read_tracing_plan(os.environ)) is None:
            return None
        from shared.telemetry.tracing.provider import open_tracer  # noqa: PLC0415

        started = open_tracer(plan, service)
    except ImportError as error:
        hint = "pip install 'mamba-server[tracing]'"
        _log_failure(f"{error.name} is not installed", hint)
    except TracingConfigError as error:
        _log_failure(str(error), "docs/operate/tracing.md")
    except Exception as error:  # noqa: BLE001  (tracing must not fail a chat)
        # The message may contain keys from the variables.
        _log_failure(type(error).__name__, "check the OTEL_… variables")
    else:
        log.info(
            "tracing.started",
            message="Tracing started",
            exporters=list(plan.exporters),
            endpoint=plan.shown_endpoint,
        )
        return started
    return None


def _log_failure(error: str, hint: str) -> None:
    log.error("tracing.not_started", message="Tracing could not start", error=error, hint=hint)
