"""Failures of runs: the code, the user-visible text, and whether a retry may help."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from types import TracebackType

import aiohttp
from pydantic_ai import exceptions

from shared.errors import FileTimeout, FirstTokenTimeout, SilenceTimeout
from shared.runs.finalize import RunEnding
from worker.models.retry_after import parse_retry_after


@dataclass(frozen=True, slots=True)
class Failure:
    """`code` is for programs, `text` for people. `retry_after` is in seconds.

    The worker retries failures that are `retried`. Sending the request again may help with those
    and with the `passing` ones.
    """

    code: str
    text: str
    retried: bool = False
    passing: bool = False
    retry_after: float | None = None

    @property
    def retryable(self) -> bool:
        return self.retried or self.passing

    def ending(self, request_id: str) -> RunEnding:
        """Return how a run ends with this failure."""
        return RunEnding.failed(
            self.code, self.text, request_id=request_id, retryable=self.retryable
        )


TIMED_OUT = Failure("run_timeout", "The answer took too long and was stopped.", passing=True)
CRASHED = Failure(
    "crash_budget", "The answer was interrupted too many times and was abandoned.", passing=True
)
DROPPED = Failure("dropped", "The answer could not be started and was abandoned.", passing=True)
UNKNOWN_AGENT = Failure("unknown_agent", "The agent is not available right now.", passing=True)
INTERRUPTED = Failure(
    "interrupted", "The answer was interrupted and cannot be continued.", passing=True
)
UNREADABLE = Failure("unreadable_job", "The server is too old for this request.")
INTERNAL = Failure("internal_error", "An internal error occurred.")
NO_FILE = Failure("file_unavailable", "A file of this conversation could not be fetched.")
NO_CONNECTION = Failure(
    "connect_timeout", "The connection to the model took too long.", retried=True
)
REJECTED = Failure("model_rejected", "The model refused the request.")
FAILED = Failure("model_error", "The model's server failed.", retried=True)
_TIMEOUT = Failure("model_timeout", "The model did not answer in time.", retried=True)
_BUSY = Failure("rate_limited", "The model is getting too many requests.", retried=True)
_UNREACHABLE = Failure("model_unreachable", "The model cannot be reached.", retried=True)
_UNAVAILABLE = Failure("model_unavailable", "The model is not available right now.", retried=True)
_UNSUPPORTED = Failure(
    "unsupported_content", "The model does not support part of this conversation."
)

#: HTTP statuses whose meaning differs from the class that pydantic-ai raises for them.
STATUSES: dict[int, Failure] = {
    408: _TIMEOUT,
    409: FAILED,
    425: FAILED,
    501: REJECTED,
    504: _TIMEOUT,
    505: REJECTED,
}

#: The first matching class decides, so narrow classes precede wide ones.
CLASSES: dict[type[Exception], Failure] = {
    FirstTokenTimeout: Failure(
        "first_token_timeout", "The model did not start to answer in time.", retried=True
    ),
    SilenceTimeout: Failure(
        "silence_timeout", "The model stopped responding in the middle of its answer.", retried=True
    ),
    exceptions.ModelQuotaExceededError: Failure("quota_exceeded", "The model's quota is used up."),
    exceptions.ModelRateLimitError: _BUSY,
    exceptions.ModelUnavailableError: _UNAVAILABLE,
    exceptions.ModelServerError: FAILED,
    exceptions.ModelRequestTimeout: _TIMEOUT,
    exceptions.ModelTimeoutError: _TIMEOUT,
    exceptions.ModelConnectionError: _UNREACHABLE,
    exceptions.ModelContextWindowExceededError: Failure(
        "context_too_long", "The conversation is too long for the model."
    ),
    exceptions.ModelAuthenticationError: Failure(
        "model_auth", "The model refused the server's credentials."
    ),
    exceptions.ModelNotFoundError: Failure("model_not_found", "The model does not exist."),
    exceptions.ModelRequestRejectedError: REJECTED,
    exceptions.ContentFilterError: Failure(
        "content_filter", "The answer was withheld by the model's content filter."
    ),
    exceptions.UsageLimitExceeded: Failure(
        "usage_limit", "The answer reached its limit of steps, tokens or cost."
    ),
    exceptions.OutputTokenLimitExceeded: Failure(
        "output_limit", "The answer reached the model's length limit."
    ),
    FileTimeout: Failure(
        "file_timeout", "A file of this conversation took too long to fetch.", passing=True
    ),
    exceptions.UserError: _UNSUPPORTED,
    NotImplementedError: _UNSUPPORTED,
    exceptions.UnexpectedModelBehavior: Failure(
        "model_misbehaved", "The model's answer could not be understood."
    ),
    exceptions.ModelAPIError: FAILED,
    aiohttp.ClientError: FAILED,
}

#: All failures, as listed in `docs/reference/errors.md`.
ALL = frozenset(
    {*CLASSES.values(), *STATUSES.values(), NO_FILE, NO_CONNECTION}
    | {TIMED_OUT, CRASHED, DROPPED, UNKNOWN_AGENT, INTERRUPTED, UNREADABLE, INTERNAL}
)

#: The module with which pydantic-ai fetches files by URL.
_FETCHING = "pydantic_ai._ssrf"


def failure_of(error: Exception) -> Failure:
    """Return the failure that an error of an attempt means."""
    if isinstance(error, exceptions.FallbackExceptionGroup):
        return _of_several(error)
    failure = _row(error)
    if not failure.retried or not isinstance(error, exceptions.ModelAPIError):
        return failure
    return replace(failure, retry_after=_retry_after(error))


def _retry_after(error: exceptions.ModelAPIError) -> float | None:
    headers = error.headers if isinstance(error, exceptions.ModelHTTPError) else None
    seconds = parse_retry_after(headers) if headers else None
    return error.retry_after if seconds is None else seconds


def _of_several(errors: exceptions.FallbackExceptionGroup) -> Failure:
    """Return the first failure of a fallback chain that can be retried, or else the last one."""
    failures = [failure_of(error) for error in errors.exceptions]
    return next((failure for failure in failures if failure.retried), failures[-1])


def _row(error: Exception) -> Failure:
    causes = [*_causes(error)]
    if any(_passes(cause.__traceback__, _FETCHING) for cause in causes):
        return NO_FILE
    if isinstance(error, exceptions.ModelTimeoutError) and error.phase in ("pool", "connect"):
        return _UNREACHABLE if any(map(_is_disconnect, causes)) else NO_CONNECTION
    status = error.status_code if isinstance(error, exceptions.ModelHTTPError) else None
    if status in STATUSES:
        return STATUSES[status]
    failure = next((row for kind, row in CLASSES.items() if isinstance(error, kind)), INTERNAL)
    if failure is FAILED and status is not None and status < 500:  # not classified by pydantic-ai
        return _BUSY if status == 429 else REJECTED
    return failure


def _is_disconnect(error: BaseException) -> bool:
    """Whether the HTTP client reported a refused, reset or unresolvable connection as a timeout."""
    return isinstance(error, aiohttp.ClientConnectionError) and not isinstance(error, TimeoutError)


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__


def _passes(traceback: TracebackType | None, module: str) -> bool:
    """Whether the error was raised in or below this module."""
    while traceback is not None:
        if traceback.tb_frame.f_globals.get("__name__") == module:
            return True
        traceback = traceback.tb_next
    return False
