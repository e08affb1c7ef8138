"""Export of spans without user content, and logging of export failures."""

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
    """Handles the log records of the SDK, which may contain response text or API keys.

    Records of an export determine the kind of its failure. Others are logged once, without values.
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._logged: set[str] = set()
        #: The failures reported by the current export of this thread.
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
        elif (template := str(record.msg)) not in self._logged:
            self._logged.add(template)
            log.warning(
                "tracing.sdk_warned",
                message="OpenTelemetry's SDK logged a warning",
                warning=_without_values(template),
            )

    @contextmanager
    def capture_failures(self) -> Generator[list[str]]:
        """Collect the kinds of failures that the export of this thread reports, in order."""
        self._exporting.kinds = kinds = list[str]()
        try:
            yield kinds
        finally:
            self._exporting.kinds = None


class RedactingExporter(SpanExporter):
    """Exports only the attributes that `docs/operate/tracing.md` lists. Runs in an SDK thread."""

    def __init__(self, exporter: SpanExporter, sdk_log: SdkLogHandler) -> None:
        self._exporter = exporter
        self._sdk_log = sdk_log
        self._failed: set[str] = set()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        with self._sdk_log.capture_failures() as kinds:
            try:
                result = self._exporter.export([redact(span) for span in spans])
            except Exception as error:  # noqa: BLE001  (the SDK would log the message)
                result = SpanExportResult.FAILURE
                kinds.append(type(error).__name__)
        if result is SpanExportResult.SUCCESS:
            if self._failed:
                self._failed.clear()
                log.info("tracing.export_recovered", message="Trace export recovered")
        else:
            self._fail(kinds[0] if kinds else "no success in time", len(spans))
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)

    def _fail(self, kind: str, spans: int) -> None:
        """Log each kind of failure once until an export succeeds."""
        if kind not in self._failed:
            self._failed.add(kind)
            log.warning(
                "tracing.export_failed", message="Trace export failed", error=kind, spans=spans
            )


def _kinds_of(record: logging.LogRecord) -> list[str]:
    """Return the error classes or HTTP statuses among the values of a log record."""
    values = record.args if isinstance(record.args, tuple) else ()
    errors = [type(value).__name__ for value in values if isinstance(value, Exception)]
    statuses = [f"HTTP {value}" for value in values if type(value) is int and 100 <= value < 600]
    return errors or statuses


def _without_values(template: str) -> str:
    return re.sub(r"%[-#0 +]*\d*(?:\.\d+)?[a-zA-Z]", "…", template)
