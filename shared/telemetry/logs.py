"""Structured logs: a stable event code, a constant message, and fields.

Fields never contain prompts or secrets. Exceptions and warnings of libraries are logged without
their messages, which may contain both. `bind` adds ids (run, request) to every line of the current
task. While tracing is on, each line has the ids of the current span.
"""

import logging
import sys
import traceback
import warnings
from hashlib import sha256
from typing import Any, Literal, TextIO, cast

import structlog

from shared.telemetry import tracing

log = structlog.stdlib.get_logger()

#: JSON lines, or readable text.
LineFormat = Literal["json", "console"]

bind = structlog.contextvars.bound_contextvars
#: Bind without a context: every later line of the current task has the ids.
bind_from_here = structlog.contextvars.bind_contextvars
unbind = structlog.contextvars.unbind_contextvars


def configure(level: str, line_format: LineFormat) -> None:
    """Send the logs of Mamba and its libraries to stderr in one format."""
    structlog.configure(
        processors=_PROCESSORS,
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_FIELD_PROCESSORS,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *_renderers(line_format),
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=level, force=True)
    _disable_unused_fields()
    warnings.showwarning = _log_warning
    # At INFO, arq logs job arguments, which contain prompts, and httpx logs URLs.
    for name in ("arq", "httpx", "httpx2", "openai"):
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.root.level))


def _disable_unused_fields() -> None:
    """Do not collect what no line shows, which takes a fifth of a line's time.

    Source: section "Optimization" of Python's Logging HOWTO.
    """
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]


def _format_exception(
    _: object, __: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Replace an exception with its stack and its type.

    Only the first line of the text is kept: asyncio adds a description of the failed task.
    """
    exc_info: Any = event.pop("exc_info", None)
    if exc_info is True:
        exc_info = sys.exc_info()
    error = cast("object", exc_info[1] if type(exc_info) is tuple else exc_info)
    if isinstance(error, BaseException):
        stack = "".join(traceback.format_tb(error.__traceback__))
        event["exception"] = f"{stack}{type(error).__name__}"
        event["event"] = str(event["event"]).partition("\n")[0]
    return event


def _log_warning(
    message: Warning | str,  # noqa: ARG001  (it may contain prompts)
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,  # noqa: ARG001
    line: str | None = None,  # noqa: ARG001
) -> None:
    log.warning(
        "library.warning",
        message="A library has issued a warning",
        category=category.__name__,
        where=f"{filename}:{lineno}",
    )


def _add_trace(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    event.update(tracing.ids())
    return event


_FIELD_PROCESSORS: list[structlog.typing.Processor] = [
    structlog.contextvars.merge_contextvars,
    _add_trace,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    _format_exception,
]
#: One list for the whole process. A logger keeps the list of its first use, and `capture_logs`
#: changes only the list that was configured last. With a new list for each `configure`, it would
#: miss the lines of loggers that were used before.
_PROCESSORS = [*_FIELD_PROCESSORS, structlog.stdlib.ProcessorFormatter.wrap_for_formatter]


def pseudonym(text: str) -> str:
    """Return 12 hex digits that stand for an id, such as an owner, that may be personal data."""
    return sha256(text.encode(errors="replace")).hexdigest()[:12]


def raise_location(error: BaseException) -> str:
    """Return the file and line that raised the error. Unlike its message, they are safe to log.

    For a failed import, this is the import statement, not Python's code that executes it.
    """
    every = traceback.extract_tb(error.__traceback__)
    frames = [frame for frame in every if not frame.filename.startswith("<frozen importlib")]
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else ""


def _renderers(line_format: LineFormat) -> list[structlog.typing.Processor]:
    if line_format == "console":
        console = structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
        return [_append_message, console]
    return [structlog.processors.JSONRenderer()]


def _append_message(
    _: object, __: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Put the message directly after the event code."""
    if message := event.pop("message", None):
        event["event"] = f"{event['event']}: {message}"
    return event
