"""What becomes of an error: its code, what the reader is told, and whether to try again."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from types import TracebackType

import aiohttp
from pydantic_ai import exceptions

from shared.errors import FileTimeout, FirstTokenTimeout, SilenceTimeout
from worker.models.retry_after import parse_retry_after


@dataclass(frozen=True, slots=True)
class Failure:
    """`code` is for apps to switch on, `text` for people to read. `retry_after` is in seconds.

    `retried` ones are tried again by us. Asking again may help with those, and with the `passing`.
    """

    code: str
    text: str
    retried: bool = False
    passing: bool = False
    retry_after: float | None = None

    @property
    def retryable(self) -> bool:
        return self.retried or self.passing


TIMED_OUT = Failure("run_timeout", "The answer took too long and was stopped.", passing=True)
CRASHED = Failure(
    "crash_budget", "The answer was interrupted too often and was given up.", passing=True
)
DROPPED = Failure("dropped", "The answer could not be started and was given up.", passing=True)
UNKNOWN_AGENT = Failure("unknown_agent", "The agent is not available right now.", passing=True)
INTERRUPTED = Failure(
    "interrupted", "The answer was interrupted, and cannot be gone on with.", passing=True
)
UNREADABLE = Failure("unreadable_job", "The server is too old for what it was asked.")
INTERNAL = Failure("internal_error", "Something went wrong on our side.")
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
_UNSUPPORTED = Failure("unsupported_content", "The model cannot take a part of this conversation.")

#: Statuses that mean something else than the class which pydantic-ai gives them.
STATUSES: dict[int, Failure] = {
    408: _TIMEOUT,
    409: FAILED,
    425: FAILED,
    501: REJECTED,
    504: _TIMEOUT,
    505: REJECTED,
}

#: The first class that fits decides: the narrow ones stand before the wide.
CLASSES: dict[type[Exception], Failure] = {
    FirstTokenTimeout: Failure(
        "first_token_timeout", "The model did not begin to answer in time.", retried=True
    ),
    SilenceTimeout: Failure(
        "silence_timeout", "The model fell silent in the middle of its answer.", retried=True
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
    exceptions.ModelNotFoundError: Failure("model_not_found", "There is no such model."),
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

#: Every failure there is, once each; `docs/reference/errors.md` lists them.
ALL = frozenset(
    {*CLASSES.values(), *STATUSES.values(), NO_FILE, NO_CONNECTION}
    | {TIMED_OUT, CRASHED, DROPPED, UNKNOWN_AGENT, INTERRUPTED, UNREADABLE, INTERNAL}
)

#: Where pydantic-ai fetches the files that a conversation names by address.
_FETCHING = "pydantic_ai._ssrf"


def failure_of(error: Exception) -> Failure:
    """How a run's error is shown and handled."""
    if isinstance(error, exceptions.FallbackExceptionGroup):
        return _of_several(error)
    failure = _row(error)
    if not failure.retried or not isinstance(error, exceptions.ModelAPIError):
        return failure
    return replace(failure, retry_after=_pause_asked_by(error))


def _pause_asked_by(error: exceptions.ModelAPIError) -> float | None:
    headers = error.headers if isinstance(error, exceptions.ModelHTTPError) else None
    asked = parse_retry_after(headers) if headers else None
    return error.retry_after if asked is None else asked


def _of_several(errors: exceptions.FallbackExceptionGroup) -> Failure:
    """Each model of a chain has failed; one that may do better next time is worth another try."""
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
    if failure is FAILED and status is not None and status < 500:  # it was given no class
        return _BUSY if status == 429 else REJECTED
    return failure


def _is_disconnect(error: BaseException) -> bool:
    """What the HTTP client takes for a time-out too: a refusal, a reset, a name nobody knows."""
    return isinstance(error, aiohttp.ClientConnectionError) and not isinstance(error, TimeoutError)


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__


def _passes(traceback: TracebackType | None, module: str) -> bool:
    """Whether the error came through this module."""
    while traceback is not None:
        if traceback.tb_frame.f_globals.get("__name__") == module:
            return True
        traceback = traceback.tb_next
    return False
