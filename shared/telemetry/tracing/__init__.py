"""Traces: what a request leads to over queue and processes, as OpenTelemetry tells it.

Off unless the standard variables enable it (`shared/telemetry/tracing/variables.py`). While it is
off, every span here is the same no-op, and OpenTelemetry's SDK is never imported. The tracer
belongs to the process, like a logger.
"""

import os
from collections.abc import Generator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Literal

import structlog

from shared.telemetry.tracing.variables import TracingConfigError, read_tracing_plan

if TYPE_CHECKING:
    from shared.telemetry.tracing.tracer import Tracer

log = structlog.stdlib.get_logger()

Kind = Literal["internal", "server", "client", "producer", "consumer"]
#: A place in a trace as it travels: W3C's `traceparent`, and `tracestate` where there is one.
Carrier = Mapping[str, str]
#: Attributes, by names that `docs/operate/tracing.md` lists: no others leave the process.
Attributes = Mapping[str, str | int | float | bool | None]


class Span:
    """A span that is not recorded; `shared/telemetry/tracing/tracer.py` has the other kind."""

    @property
    def carrier(self) -> dict[str, str]:
        """What makes another process go on with this trace, below this span."""
        return {}

    @property
    def recorded(self) -> bool:
        return False

    def set(self, attributes: Attributes) -> None:
        """Set attributes; those that are None stay unset."""

    def link(self, carrier: Carrier) -> None:
        """Point at a span of another trace. One of this span's own trace is nothing new."""

    def fail(self, kind: str) -> None:
        """Mark it as failed by an error of this kind: a class or a code, never a message."""

    def end(self) -> None:
        """End it now, if it has not ended yet."""


#: The process's, while it is on.
_tracer: "Tracer | None" = None
_NOTHING = Span()
_OFF = nullcontext(_NOTHING)


@contextmanager
def tracing(service: str) -> Generator[None]:
    """Trace what this process does, if the variables ask for it; `service` is its default name.

    Mistakes in them are logged, and nothing is traced. Spans that are left at the end are sent for
    a bounded time.
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
    """What traces in this process; None while that is off."""
    return _tracer


def span(
    name: str,
    kind: Kind = "internal",
    attributes: Attributes | None = None,
    parent: Carrier | None = None,
) -> AbstractContextManager[Span]:
    """A span below the current one, or below `parent`; it is the current one meanwhile."""
    return _OFF if _tracer is None else _tracer.span(name, kind, attributes or {}, parent)


def current() -> Span:
    return _NOTHING if _tracer is None else _tracer.current()


def ids() -> dict[str, str]:
    """`trace_id` and `span_id` of the current span, for logs."""
    return {} if _tracer is None else _tracer.ids()


def _start(service: str) -> "Tracer | None":
    try:
        if (plan := read_tracing_plan(os.environ)) is None:
            return None
        from shared.telemetry.tracing.provider import open_tracer  # noqa: PLC0415

        started = open_tracer(plan, service)
    except ImportError as error:
        hint = "pip install 'mamba-server[tracing]'"
        log.error("tracing.not_started", error=f"{error.name} is not installed", hint=hint)  # noqa: TRY400
    except TracingConfigError as error:
        log.error("tracing.not_started", error=str(error), hint="docs/operate/tracing.md")  # noqa: TRY400
    except Exception as error:  # noqa: BLE001  (no chat fails for want of a trace)
        # Not its message: the variables hold keys.
        broken = type(error).__name__
        log.error("tracing.not_started", error=broken, hint="look through OTEL_…")  # noqa: TRY400
    else:
        log.info("tracing.started", exporters=list(plan.exporters), endpoint=plan.shown_endpoint)
        return started
    return None
