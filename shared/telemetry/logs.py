"""Structured logs: one event name, a constant, and fields. No prompt and no secret is a field.

`bind` puts ids (run, request) on every line that the current task logs from then on. While traces
are made, a line has the current span's too.
"""

import logging
import sys
import traceback

import structlog

from shared.settings import LoggingSettings
from shared.telemetry import tracing

bind = structlog.contextvars.bound_contextvars


def configure(settings: LoggingSettings) -> None:
    """Send our logs and the libraries' to stderr in one format."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        _add_trace,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _renderer(settings.format),
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=settings.level, force=True)
    # arq logs each job's arguments, which hold the prompts, at INFO; so does httpx each URL.
    for name in ("arq", "httpx", "httpx2", "openai"):
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.root.level))


def _add_trace(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    event.update(tracing.ids())
    return event


def where(error: BaseException) -> str:
    """The innermost place an error came from; unlike its message it holds nobody's words."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else ""


def _renderer(style: str) -> structlog.typing.Processor:
    if style == "console":
        return structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    return structlog.processors.JSONRenderer()
