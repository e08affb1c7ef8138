"""The way out of the process: spans are cleaned of words, and failures told in a line a kind."""

import logging
import re
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Self

import structlog
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from shared.telemetry.tracing.redaction import redact

log = structlog.stdlib.get_logger()


class SdkLogHandler(logging.Handler):
    """Hears what the SDK logs. Its lines may hold an endpoint's words, or the headers' keys.

    What an export says becomes the kind of its failure; the rest is told once, without values.
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._told: set[str] = set()
        #: What an export that this thread makes has said so far.
        self._exporting = threading.local()

    @classmethod
    def install(cls, logger: logging.Logger) -> Self:
        for handler in [*logger.handlers]:
            if isinstance(handler, SdkLogHandler):
                logger.removeHandler(handler)
        handler = cls()
        logger.addHandler(handler)
        logger.setLevel(logging.WARNING)
        logger.propagate = False
        return handler

    def emit(self, record: logging.LogRecord) -> None:
        kinds: list[str] | None = getattr(self._exporting, "kinds", None)
        if kinds is not None:
            kinds.extend(_kinds_of(record))
        elif (said := str(record.msg)) not in self._told:
            self._told.add(said)
            log.warning("tracing.sdk_warned", said=_without_values(said))

    @contextmanager
    def capture_failures(self) -> Generator[list[str]]:
        """The kinds of failures that this thread's export tells of, the first of them first."""
        self._exporting.kinds = kinds = list[str]()
        try:
            yield kinds
        finally:
            self._exporting.kinds = None


class RedactingExporter(SpanExporter):
    """Exports only what `docs/operate/tracing.md` lists. Runs in a thread of the SDK."""

    def __init__(self, exporter: SpanExporter, told: SdkLogHandler) -> None:
        self._exporter = exporter
        self._told = told
        self._failed: set[str] = set()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        with self._told.capture_failures() as kinds:
            try:
                result = self._exporter.export([redact(span) for span in spans])
            except Exception as error:  # noqa: BLE001  (the SDK would log its message)
                result = SpanExportResult.FAILURE
                kinds.append(type(error).__name__)
        if result is SpanExportResult.SUCCESS:
            if self._failed:
                self._failed.clear()
                log.info("tracing.export_recovered")
        else:
            self._fail(kinds[0] if kinds else "timeout", len(spans))
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)

    def _fail(self, kind: str, spans: int) -> None:
        """Tell it, once a kind until an export succeeds."""
        if kind not in self._failed:
            self._failed.add(kind)
            log.warning("tracing.export_failed", error=kind, spans=spans)


def _kinds_of(record: logging.LogRecord) -> list[str]:
    """Of the values that a line holds: errors by their class, statuses as they are."""
    values = record.args if isinstance(record.args, tuple) else ()
    errors = [type(value).__name__ for value in values if isinstance(value, Exception)]
    statuses = [f"HTTP {value}" for value in values if type(value) is int and 100 <= value < 600]
    return errors or statuses


def _without_values(template: str) -> str:
    return re.sub(r"%[-#0 +]*\d*(?:\.\d+)?[a-zA-Z]", "…", template)
