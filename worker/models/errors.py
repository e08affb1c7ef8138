"""What goes wrong between us and a model endpoint.

ModelBackendError
├── RateLimitError
└── AuthenticationError

The messages are our own words: what an endpoint answers may hold the prompt, or the key.
"""

import json
from collections.abc import Generator
from contextlib import contextmanager

import httpx2
import openai

from shared.errors import MambaError
from worker.models.retry_after import retry_after

#: Refusals that may not be repeated next time.
_RETRYABLE_STATUSES = frozenset({408, 409, 425, 429})
#: A rate limit that waiting does not lift.
_SPENT = frozenset({"insufficient_quota", "billing_hard_limit_reached"})

#: Where the client's errors keep what the endpoint said.
_SAID = ("message", "body", "code", "param", "type")


class ModelBackendError(MambaError):
    """The model endpoint failed.

    `retryable` says whether the same request may succeed later; `cause` is the client's own error,
    with what the endpoint said (but for the key).
    """

    def __init__(
        self,
        message: str | None = None,
        *,
        model: str | None = None,
        retryable: bool = False,
        cause: Exception | None = None,
    ) -> None:
        super().__init__(message)
        self.model = model
        self.retryable = retryable
        self.cause = cause

    @property
    def status(self) -> int | None:
        """The HTTP status of the endpoint's refusal."""
        return self.cause.status_code if isinstance(self.cause, openai.APIStatusError) else None

    @property
    def timed_out(self) -> bool:
        """Whether the endpoint was there, but said nothing in time."""
        return self.cause is not None and _timed_out(self.cause)


class RateLimitError(ModelBackendError):
    """The model endpoint is getting too many requests. `retry_after` is in seconds."""

    def __init__(
        self,
        message: str | None = None,
        *,
        model: str | None = None,
        retryable: bool = True,
        cause: Exception | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, model=model, retryable=retryable, cause=cause)
        self.retry_after = retry_after


class AuthenticationError(ModelBackendError):
    """The model endpoint refused the credentials."""


@contextmanager
def mapped(model: str | None, *, secrets: tuple[str, ...]) -> Generator[None]:
    """Raise the client's errors as our own, with these secrets struck out of what they say."""
    try:
        yield
    except (openai.OpenAIError, httpx2.HTTPError, json.JSONDecodeError) as error:
        _strike(error, secrets)
        raise _error_of(error, model) from error


def _error_of(error: Exception, model: str | None) -> ModelBackendError:
    match error:
        case openai.AuthenticationError() | openai.PermissionDeniedError():
            return AuthenticationError(
                f"The model endpoint refused the credentials (status {error.status_code}).",
                model=model,
                cause=error,
            )
        case openai.RateLimitError():
            return _rate_limit(error, model)
        case openai.APIStatusError(status_code=status):
            retryable = status >= 500 or status in _RETRYABLE_STATUSES
            message = f"The model endpoint answered with status {status}."
        case openai.APITimeoutError() | httpx2.TimeoutException() if _timed_out(error):
            message, retryable = "The model endpoint did not answer in time.", True
        case openai.APIConnectionError() | httpx2.TransportError():
            message, retryable = "The model endpoint cannot be reached, or broke off.", True
        case openai.APIError():
            message, retryable = "The model endpoint failed in the middle of its answer.", True
        case _:
            message, retryable = "The model endpoint's answer cannot be read.", False
    return ModelBackendError(message, model=model, retryable=retryable, cause=error)


def _timed_out(error: Exception) -> bool:
    """A refused connection is a connection's time-out to the client below."""
    below = error.__cause__ if isinstance(error, openai.APITimeoutError) else error
    if isinstance(below, httpx2.ConnectTimeout):
        return False
    return isinstance(error, openai.APITimeoutError | httpx2.TimeoutException)


def _rate_limit(error: openai.RateLimitError, model: str | None) -> RateLimitError:
    spent = error.code in _SPENT
    return RateLimitError(
        "The account's quota is used up." if spent else None,
        model=model,
        retryable=not spent,
        cause=error,
        retry_after=retry_after(error.response.headers),
    )


def _strike(error: Exception, secrets: tuple[str, ...]) -> None:
    """Some gateways repeat the key that they refuse."""
    error.args = tuple(_without(arg, secrets) for arg in error.args)
    for name in _SAID:
        if (said := getattr(error, name, None)) is not None:
            setattr(error, name, _without(said, secrets))


def _without(value: object, secrets: tuple[str, ...]) -> object:
    text = value if isinstance(value, str) else repr(value)
    found = [secret for secret in secrets if secret in text]
    if not found:
        return value
    for secret in found:
        text = text.replace(secret, "***")
    return text
