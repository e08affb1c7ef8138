"""Errors of model endpoints.

ModelBackendError
├── RateLimitError
└── AuthenticationError

The messages never quote an endpoint's response, which may contain the prompt or the key.
"""

import json
from collections.abc import Generator
from contextlib import contextmanager

import aiohttp
import httpx2
import openai

from shared.errors import MambaError
from worker.models.retry_after import parse_retry_after
from worker.models.transport.error_texts import Reason
from worker.models.transport.unusable_response import UnusableResponse
from worker.models.transport.upstream_error import UpstreamError, parse_error

#: Client error statuses (4xx) for which a retry may succeed.
_RETRYABLE_STATUSES = frozenset({408, 409, 425, 429})
#: Reasons of unusable responses for which a run repeats its attempt.
_RETRYABLE_REASONS: frozenset[Reason | None] = frozenset(
    {None, "invalid_output", "overloaded", "rate_limit"}
)

#: All errors of the client and of the HTTP library below it.
_CLIENT_ERRORS = (
    openai.OpenAIError,
    httpx2.HTTPError,
    httpx2.InvalidURL,
    aiohttp.ClientError,
    json.JSONDecodeError,
    UnusableResponse,
)
#: Attributes of the OpenAI client's errors that hold parts of the response.
_RESPONSE_ATTRIBUTES = ("message", "body", "code", "param", "type")


class ModelBackendError(MambaError):
    """The model endpoint failed.

    `retryable` reports whether the same request may succeed later. `cause` is the OpenAI client's
    error with the endpoint's response, in which the key is replaced by `***`.
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
        """The HTTP status of the endpoint's error response, if there was one."""
        return self.cause.status_code if isinstance(self.cause, openai.APIStatusError) else None

    @property
    def upstream(self) -> UpstreamError | None:
        """The error that the endpoint sent, as identifiers, or None if it sent none."""
        match self.cause:
            case UnusableResponse(upstream=upstream):
                return upstream
            case openai.APIStatusError(body=body, status_code=status, response=response):
                kind = response.headers.get("content-type")
                return parse_error(body, status=status, content_type=kind)
            case openai.APIError(body=body) if body is not None:
                return parse_error(body)
            case _:
                return None

    @property
    def timed_out(self) -> bool:
        """Whether the endpoint was reachable but did not respond in time."""
        return self.cause is not None and _timed_out(self.cause)


class RateLimitError(ModelBackendError):
    """The model endpoint receives too many requests. `retry_after` is in seconds."""

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
    """The model endpoint rejected the credentials."""


@contextmanager
def map_errors(model: str | None, *, secrets: tuple[str, ...]) -> Generator[None]:
    """Convert the OpenAI client's errors to a ModelBackendError, and redact these secrets."""
    try:
        yield
    except _CLIENT_ERRORS as error:
        _redact(error, secrets)
        raise _error_of(error, model) from error


def _error_of(error: Exception, model: str | None) -> ModelBackendError:
    match error:
        case openai.AuthenticationError() | openai.PermissionDeniedError():
            return AuthenticationError(
                f"The model endpoint rejected the credentials (status {error.status_code}).",
                model=model,
                cause=error,
            )
        case openai.RateLimitError():
            return _rate_limit(error, model)
        case openai.APIStatusError(status_code=status):
            retryable = status >= 500 or status in _RETRYABLE_STATUSES
            message = f"The model endpoint returned status {status}."
        case openai.APITimeoutError() | httpx2.TimeoutException() if _timed_out(error):
            message, retryable = "The model endpoint did not respond in time.", True
        case openai.APIConnectionError() | httpx2.TransportError():
            message, retryable = "The model endpoint is unreachable or closed the connection.", True
        case openai.APIError():
            message, retryable = "The model endpoint failed during its response.", True
        case UnusableResponse():
            message, retryable = str(error), error.upstream.reason in _RETRYABLE_REASONS
        case aiohttp.ClientError():
            message, retryable = "The model endpoint's response is malformed.", True
        case _:
            message, retryable = "The model endpoint's response could not be parsed.", False
    return ModelBackendError(message, model=model, retryable=retryable, cause=error)


def _timed_out(error: Exception) -> bool:
    """The HTTP client also reports a refused connection as a connect timeout; exclude those."""
    cause = error.__cause__ if isinstance(error, openai.APITimeoutError) else error
    if isinstance(cause, httpx2.ConnectTimeout):
        return False
    return isinstance(error, openai.APITimeoutError | httpx2.TimeoutException)


def _rate_limit(error: openai.RateLimitError, model: str | None) -> RateLimitError:
    quota_exceeded = parse_error(error.body, status=429).reason == "quota"
    return RateLimitError(
        "The account's quota is used up." if quota_exceeded else None,
        model=model,
        retryable=not quota_exceeded,
        cause=error,
        retry_after=parse_retry_after(error.response.headers),
    )


def _redact(error: Exception, secrets: tuple[str, ...]) -> None:
    """Some gateways repeat the rejected key in their response."""
    error.args = tuple(_redacted(arg, secrets) for arg in error.args)
    for name in _RESPONSE_ATTRIBUTES:
        if (value := getattr(error, name, None)) is not None:
            setattr(error, name, _redacted(value, secrets))


def _redacted(value: object, secrets: tuple[str, ...]) -> object:
    text = value if isinstance(value, str) else repr(value)
    found = [secret for secret in secrets if secret in text]
    if not found:
        return value
    for secret in found:
        text = text.replace(secret, "***")
    return text
