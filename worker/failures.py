"""What becomes of an error: its code, what the reader is told, and whether to try again."""

from dataclasses import dataclass

from pydantic_ai import exceptions

#: Client errors that are worth another try, where pydantic-ai knows no better.
_RETRIED_STATUSES = frozenset({408, 409, 429})


@dataclass(frozen=True, slots=True)
class Failure:
    """`code` is for apps to switch on, `text` for people to read. `retry_after` is in seconds."""

    code: str
    text: str
    retried: bool = False
    retry_after: float | None = None


TIMED_OUT = Failure("run_timeout", "The answer took too long and was stopped.")
CRASHED = Failure("crash_budget", "The answer was interrupted too often and was given up.")
DROPPED = Failure("dropped", "The answer could not be started and was given up.")
UNREADABLE = Failure("unreadable_job", "The server is too old for what it was asked.")
_REJECTED = Failure("model_rejected", "The model refused the request.")
_FAILED = Failure("model_error", "The model's server failed.", retried=True)
INTERNAL = Failure("internal_error", "Something went wrong on our side.")

#: The first class that fits decides: the narrow ones stand before the wide.
_TABLE: tuple[tuple[type[Exception], Failure], ...] = (
    (
        exceptions.ModelQuotaExceededError,
        Failure("quota_exceeded", "The model's quota is used up."),
    ),
    (
        exceptions.ModelRateLimitError,
        Failure("rate_limited", "The model is getting too many requests.", retried=True),
    ),
    (
        exceptions.ModelUnavailableError,
        Failure("model_unavailable", "The model is not available right now.", retried=True),
    ),
    (exceptions.ModelServerError, _FAILED),
    (
        exceptions.ModelRequestTimeout,
        Failure("model_timeout", "The model did not answer in time.", retried=True),
    ),
    (
        exceptions.ModelTimeoutError,
        Failure("model_timeout", "The model did not answer in time.", retried=True),
    ),
    (
        exceptions.ModelConnectionError,
        Failure("model_unreachable", "The model cannot be reached.", retried=True),
    ),
    (
        exceptions.ModelContextWindowExceededError,
        Failure("context_too_long", "The conversation is too long for the model."),
    ),
    (
        exceptions.ModelAuthenticationError,
        Failure("model_auth", "The model refused the server's credentials."),
    ),
    (
        exceptions.ModelNotFoundError,
        Failure("model_not_found", "There is no such model."),
    ),
    (exceptions.ModelRequestRejectedError, _REJECTED),
    (
        exceptions.ContentFilterError,
        Failure("content_filter", "The answer was withheld by the model's content filter."),
    ),
    (
        exceptions.UsageLimitExceeded,
        Failure("usage_limit", "The answer reached its limit of steps or tokens."),
    ),
    (
        exceptions.OutputTokenLimitExceeded,
        Failure("output_limit", "The answer reached the model's length limit."),
    ),
    (
        exceptions.UserError,
        Failure("unsupported_content", "The model cannot take a part of this conversation."),
    ),
    (
        exceptions.UnexpectedModelBehavior,
        Failure("model_misbehaved", "The model's answer could not be understood."),
    ),
)


#: Every failure there is, once each; `docs/errors.md` lists them.
ALL = frozenset(f for _, f in _TABLE) | {TIMED_OUT, CRASHED, DROPPED, UNREADABLE, INTERNAL}


def failure_of(error: Exception) -> Failure:
    """How a run's error is shown and handled."""
    for kind, failure in _TABLE:
        if isinstance(error, kind):
            return _with_delay(failure, error)
    if isinstance(error, exceptions.ModelAPIError):
        status: int | None = getattr(error, "status_code", None)
        refused = status is not None and status < 500 and status not in _RETRIED_STATUSES
        return _with_delay(_REJECTED if refused else _FAILED, error)
    return INTERNAL


def _with_delay(failure: Failure, error: Exception) -> Failure:
    delay = getattr(error, "retry_after", None)
    if not failure.retried or not isinstance(delay, int | float):
        return failure
    return Failure(failure.code, failure.text, retried=True, retry_after=float(delay))
