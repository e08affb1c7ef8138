"""The failures that a run can end with, and the mapping from errors to them."""

from dataclasses import dataclass, replace
from types import TracebackType

import aiohttp
import httpx2
from pydantic_ai import exceptions

from shared.errors import (
    INTERNAL_ERROR_TEXT,
    AnswerTooLarge,
    BudgetUsedUp,
    FileTimeout,
    FirstTokenTimeout,
    SilenceTimeout,
    causes_of,
)
from shared.runs.finalize import RunEnding
from worker.models.file_errors import describe_file_error
from worker.models.retry_after import parse_retry_after
from worker.models.transport.error_texts import Reason
from worker.models.transport.unusable_response import UnusableResponse
from worker.models.transport.upstream_error import UpstreamError, parse_error


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a run failed. `code` is for programs, `text` for people.

    The worker repeats the attempt if `worker_retries` is set, after `retry_after` seconds if the
    endpoint sent that. A `temporary` failure is not repeated, but a new request may succeed.
    """

    code: str
    text: str
    worker_retries: bool = False
    temporary: bool = False
    retry_after: float | None = None
    #: The error of the server of the model, or of a file, for operators.
    upstream: UpstreamError | None = None

    @property
    def retryable(self) -> bool:
        """Whether a new request may succeed."""
        return self.worker_retries or self.temporary

    @property
    def upstream_fields(self) -> dict[str, str | int]:
        """The fields of the server's error, for a log event."""
        return self.upstream.fields() if self.upstream else {}

    def ending(self, request_id: str) -> RunEnding:
        """Return how a run ends with this failure."""
        return RunEnding.failed(
            self.code, self.text, request_id=request_id, retryable=self.retryable
        )


TIMED_OUT = Failure("run_timeout", "The answer took too long and was stopped.", temporary=True)
CRASHED = Failure(
    "crash_budget", "The answer was interrupted too many times and was abandoned.", temporary=True
)
DROPPED = Failure("dropped", "The answer could not be started and was abandoned.", temporary=True)
UNKNOWN_AGENT = Failure("unknown_agent", "The agent is not available right now.", temporary=True)
INTERRUPTED = Failure(
    "interrupted", "The answer was interrupted and cannot be continued.", temporary=True
)
UNREADABLE = Failure("unreadable_job", "The server is too old for this request.")
INTERNAL = Failure("internal_error", INTERNAL_ERROR_TEXT)
NO_FILE = Failure("file_unavailable", "A file of this conversation could not be fetched.")
NO_CONNECTION = Failure(
    "connect_timeout", "The connection to the model took too long.", worker_retries=True
)
REJECTED = Failure("model_rejected", "The model refused the request.")
MODEL_ERROR = Failure("model_error", "The model's server failed.", worker_retries=True)
_TIMEOUT = Failure("model_timeout", "The model did not answer in time.", worker_retries=True)
_BUSY = Failure("rate_limited", "The model is getting too many requests.", worker_retries=True)
_UNREACHABLE = Failure("model_unreachable", "The model cannot be reached.", worker_retries=True)
_UNAVAILABLE = Failure(
    "model_unavailable", "The model is not available right now.", worker_retries=True
)
_UNSUPPORTED = Failure(
    "unsupported_content", "The model does not support part of this conversation."
)
_QUOTA_EXCEEDED = Failure("quota_exceeded", "The model's quota is used up.")
_TOO_LONG = Failure("context_too_long", "The conversation is too long for the model.")
_AUTH = Failure("model_auth", "The model refused the server's credentials.")
_NOT_FOUND = Failure("model_not_found", "The model does not exist.")
_FILTERED = Failure("content_filter", "The answer was withheld by the model's content filter.")
_ENDPOINT = Failure("model_endpoint", "The model's server is not set up correctly.")
_TOO_LARGE = Failure("response_too_large", "The model's answer is too large.")

#: Failures by the reason that the model's server reported, which is more precise than its status.
FAILURES_BY_REASON: dict[Reason, Failure] = {
    "authentication": _AUTH,
    "content_filter": _FILTERED,
    "context_length": _TOO_LONG,
    "endpoint": _ENDPOINT,
    "images_unsupported": REJECTED,
    "invalid_output": MODEL_ERROR,
    "model_not_found": _NOT_FOUND,
    "not_a_completion": _ENDPOINT,
    "overloaded": _UNAVAILABLE,
    "quota": _QUOTA_EXCEEDED,
    "rate_limit": _BUSY,
    "redirect": _ENDPOINT,
    "rejected": REJECTED,
    "role_order": REJECTED,
    "too_large": _TOO_LARGE,
    "tools_unsupported": REJECTED,
    "unsupported_parameter": REJECTED,
}

#: Failures of HTTP statuses that pydantic-ai raises as a class with another meaning.
FAILURES_BY_STATUS: dict[int, Failure] = {
    408: _TIMEOUT,
    409: MODEL_ERROR,
    425: MODEL_ERROR,
    501: REJECTED,
    504: _TIMEOUT,
    505: REJECTED,
}

#: The first matching class applies, so subclasses precede their base classes.
FAILURES_BY_ERROR: dict[type[Exception], Failure] = {
    FirstTokenTimeout: Failure(
        "first_token_timeout", "The model did not start to answer in time.", worker_retries=True
    ),
    SilenceTimeout: Failure(
        "silence_timeout",
        "The model stopped responding in the middle of its answer.",
        worker_retries=True,
    ),
    exceptions.ModelQuotaExceededError: _QUOTA_EXCEEDED,
    exceptions.ModelRateLimitError: _BUSY,
    exceptions.ModelUnavailableError: _UNAVAILABLE,
    exceptions.ModelServerError: MODEL_ERROR,
    exceptions.ModelRequestTimeout: _TIMEOUT,
    exceptions.ModelTimeoutError: _TIMEOUT,
    exceptions.ModelConnectionError: _UNREACHABLE,
    exceptions.ModelContextWindowExceededError: _TOO_LONG,
    exceptions.ModelAuthenticationError: _AUTH,
    exceptions.ModelNotFoundError: _NOT_FOUND,
    exceptions.ModelRequestRejectedError: REJECTED,
    exceptions.ContentFilterError: _FILTERED,
    exceptions.UsageLimitExceeded: Failure(
        "usage_limit", "The answer reached its limit of steps, tokens or cost."
    ),
    exceptions.OutputTokenLimitExceeded: Failure(
        "output_limit", "The answer reached the model's length limit."
    ),
    AnswerTooLarge: _TOO_LARGE,
    BudgetUsedUp: Failure("budget_exceeded", "Your budget is used up."),
    FileTimeout: Failure(
        "file_timeout", "A file of this conversation took too long to fetch.", temporary=True
    ),
    exceptions.UserError: _UNSUPPORTED,
    NotImplementedError: _UNSUPPORTED,
    exceptions.UnexpectedModelBehavior: Failure(
        "model_misbehaved", "The model's answer could not be understood."
    ),
    exceptions.ModelAPIError: MODEL_ERROR,
    UnusableResponse: MODEL_ERROR,
    aiohttp.ClientError: MODEL_ERROR,
}

#: What the causes of an error show about the server's response.
_TRANSPORT_ERRORS: dict[type[Exception], UpstreamError] = {
    httpx2.TooManyRedirects: UpstreamError(
        reason="redirect", received="The server redirects in a loop."
    ),
    httpx2.RemoteProtocolError: UpstreamError(
        received="The connection ended before the answer was complete."
    ),
    aiohttp.ClientResponseError: UpstreamError(
        received="The server sent a malformed HTTP response."
    ),
}
_ERROR_WITHOUT_CODE = "The server sent an error without a code in its stream."

#: The module of pydantic-ai that fetches files by URL.
_FETCH_MODULE = "pydantic_ai._ssrf"


def failure_of(error: Exception) -> Failure:
    """Return the failure that an attempt's error stands for."""
    if isinstance(error, exceptions.FallbackExceptionGroup):
        return _failure_of_fallbacks(error)
    failure = _classify(error)
    upstream = describe_file_error(error) if failure is NO_FILE else upstream_error_of(error)
    if upstream is not None:
        failure = FAILURES_BY_REASON[upstream.reason] if upstream.reason else failure
        failure = replace(failure, upstream=upstream)
    if isinstance(error, BudgetUsedUp):
        return replace(failure, text=str(error))
    if not failure.worker_retries or not isinstance(error, exceptions.ModelAPIError):
        return failure
    return replace(failure, retry_after=_retry_after(error))


def upstream_error_of(error: Exception) -> UpstreamError | None:
    """Return the error that the model's server sent, or None if it sent none."""
    if isinstance(error, UnusableResponse):
        return error.upstream
    if not isinstance(error, exceptions.ModelAPIError | aiohttp.ClientError):
        return None
    for cause, upstream in _TRANSPORT_ERRORS.items():
        if any(isinstance(found, cause) for found in causes_of(error)):
            return upstream
    if isinstance(error, exceptions.ModelHTTPError):
        content_type = (error.headers or {}).get("content-type") if not error.in_stream else None
        return parse_error(error.body, status=error.status_code, content_type=content_type)
    if isinstance(error, aiohttp.ClientError) or error.body is None:
        return None
    upstream = parse_error(error.body)
    return upstream if upstream.fields() else UpstreamError(received=_ERROR_WITHOUT_CODE)


def _retry_after(error: exceptions.ModelAPIError) -> float | None:
    headers = error.headers if isinstance(error, exceptions.ModelHTTPError) else None
    seconds = parse_retry_after(headers) if headers else None
    return error.retry_after if seconds is None else seconds


def _failure_of_fallbacks(errors: exceptions.FallbackExceptionGroup) -> Failure:
    """Return the failure with the shortest retry delay, or the first one if none is retried."""
    failures = [failure_of(error) for error in errors.exceptions]
    retried = [failure for failure in failures if failure.worker_retries]
    return min(retried, key=lambda failure: failure.retry_after or 0.0, default=failures[0])


def _classify(error: Exception) -> Failure:
    causes = [*causes_of(error)]
    if any(_was_raised_in(cause.__traceback__, _FETCH_MODULE) for cause in causes):
        return NO_FILE
    if isinstance(error, exceptions.ModelTimeoutError) and error.phase in ("pool", "connect"):
        return _UNREACHABLE if any(map(_is_disconnect, causes)) else NO_CONNECTION
    status = error.status_code if isinstance(error, exceptions.ModelHTTPError) else None
    if status in FAILURES_BY_STATUS:
        return FAILURES_BY_STATUS[status]
    matching = (f for kind, f in FAILURES_BY_ERROR.items() if isinstance(error, kind))
    failure = next(matching, INTERNAL)
    if failure is MODEL_ERROR and status is not None and status < 500:  # unknown to pydantic-ai
        return _BUSY if status == 429 else REJECTED
    return failure


def _is_disconnect(error: BaseException) -> bool:
    """Return whether a timeout is a refused, reset or unresolvable connection."""
    return isinstance(error, aiohttp.ClientConnectionError) and not isinstance(error, TimeoutError)


def _was_raised_in(traceback: TracebackType | None, module: str) -> bool:
    """Return whether the error was raised in this module or in code that it called."""
    while traceback is not None:
        if traceback.tb_frame.f_globals.get("__name__") == module:
            return True
        traceback = traceback.tb_next
    return False
