"""What becomes of each error."""

import aiohttp
import pytest
from multidict import CIMultiDict, CIMultiDictProxy
from pydantic_ai import exceptions
from pydantic_ai.messages import DocumentUrl
from pydantic_ai.models import download_item
from yarl import URL

from shared.errors import FirstTokenTimeout, SilenceTimeout
from tests.support.reference.failures import ALL_FAILURES
from worker.models import run_failures
from worker.models.endpoint_errors import ModelBackendError, map_errors
from worker.models.run_failures import INTERNAL, failure_of
from worker.models.transport.error_texts import Reason
from worker.models.transport.unusable_response import unusable

SECRET = "sk-secret"


def http_error(status: int, body: object = None) -> exceptions.ModelHTTPError:
    return exceptions.ModelHTTPError(status, "m", body or {"message": SECRET})


ROWS: list[tuple[Exception, str, bool]] = [
    (exceptions.ModelQuotaExceededError("m", SECRET), "quota_exceeded", False),
    (exceptions.ModelRateLimitError("m", SECRET), "rate_limited", True),
    (exceptions.ModelUnavailableError("m", SECRET), "model_unavailable", True),
    (exceptions.ModelOverloadedError("m", SECRET), "model_unavailable", True),
    (exceptions.ModelServerError("m", SECRET), "model_error", True),
    (exceptions.ModelRequestTimeout("m", 1.0), "model_timeout", True),
    (exceptions.ModelTimeoutError("m", SECRET), "model_timeout", True),
    (exceptions.ModelConnectionError("m", SECRET), "model_unreachable", True),
    (exceptions.ModelContextWindowExceededError("m", SECRET), "context_too_long", False),
    (exceptions.ModelAuthenticationError("m", SECRET), "model_auth", False),
    (exceptions.ModelNotFoundError("m", SECRET), "model_not_found", False),
    (exceptions.ModelRequestRejectedError("m", SECRET), "model_rejected", False),
    (exceptions.ContentFilterError(SECRET), "content_filter", False),
    (exceptions.UsageLimitExceeded(SECRET), "usage_limit", False),
    (exceptions.OutputTokenLimitExceeded(SECRET), "output_limit", False),
    (exceptions.UnexpectedModelBehavior(SECRET), "model_misbehaved", False),
    (http_error(400), "model_rejected", False),
    (http_error(408), "model_timeout", True),
    (http_error(409), "model_error", True),
    (http_error(404), "model_endpoint", False),
    (http_error(413), "context_too_long", False),
    (http_error(501), "model_rejected", False),
    (http_error(504), "model_timeout", True),
    (FirstTokenTimeout(), "first_token_timeout", True),
    (SilenceTimeout(), "silence_timeout", True),
    (exceptions.ModelTimeoutError("m", SECRET, phase="connect"), "connect_timeout", True),
    (exceptions.ModelTimeoutError("m", SECRET, phase="read"), "model_timeout", True),
    (aiohttp.ClientPayloadError(SECRET), "model_error", True),
    (http_error(429), "rate_limited", True),
    (http_error(503), "model_unavailable", True),
    (exceptions.ModelAPIError("m", SECRET), "model_error", True),
    (ValueError(SECRET), "internal_error", False),
    (KeyError(SECRET), "internal_error", False),
    (exceptions.UserError(SECRET), "unsupported_content", False),
]


@pytest.mark.parametrize(("error", "code", "retried"), ROWS, ids=lambda row: str(row)[:40])
def test_error_maps_to_its_code(error: Exception, code: str, *, retried: bool) -> None:
    failure = failure_of(error)

    assert (failure.code, failure.worker_retries) == (code, retried)


@pytest.mark.parametrize("error", [row[0] for row in ROWS], ids=lambda error: type(error).__name__)
def test_failure_does_not_expose_the_error_text(error: Exception) -> None:
    assert SECRET not in repr(failure_of(error))


def test_refused_connection_is_unreachable_not_a_timeout() -> None:
    """The HTTP client says that it is one."""
    error = exceptions.ModelTimeoutError("m", SECRET, phase="connect")
    error.__cause__ = aiohttp.ClientConnectionError("refused")
    slow = exceptions.ModelTimeoutError("m", SECRET, phase="connect")
    slow.__cause__ = aiohttp.ConnectionTimeoutError("slow")

    assert failure_of(error).code == "model_unreachable"
    assert failure_of(slow).code == "connect_timeout"


async def test_blocked_file_download_is_file_unavailable() -> None:
    with pytest.raises(ValueError, match="private") as caught:
        await download_item(DocumentUrl("http://127.0.0.1/a.pdf"), "bytes")

    assert failure_of(caught.value).code == "file_unavailable"


def test_fallback_group_uses_the_soonest_retry() -> None:
    wrong, locked = http_error(400), http_error(401)
    busy = exceptions.ModelRateLimitError("m", SECRET, retry_after=9)
    down = exceptions.ModelUnavailableError("m", SECRET, retry_after=4)
    group = exceptions.FallbackExceptionGroup("all failed", [wrong, busy, down])
    hopeless = exceptions.FallbackExceptionGroup("all failed", [locked, wrong])

    assert failure_of(group).code == "model_unavailable"
    assert failure_of(hopeless).code == "model_auth"


def test_unknown_error_is_an_internal_error() -> None:
    assert failure_of(RuntimeError(SECRET)) is INTERNAL


def test_retry_after_of_the_model_is_kept() -> None:
    assert failure_of(exceptions.ModelRateLimitError("m", "no", retry_after=7)).retry_after == 7.0
    assert failure_of(exceptions.ModelServerError("m", "no", retry_after=0.5)).retry_after == 0.5


def test_retry_after_is_dropped_when_not_retried() -> None:
    error = exceptions.ModelQuotaExceededError("m", "no", retry_after=7)

    assert failure_of(error).retry_after is None


def test_retry_after_header_is_read() -> None:
    error = exceptions.ModelHTTPError(429, "m", headers={"Retry-After": "12"})

    assert failure_of(error).retry_after == 12.0


def test_each_failure_has_a_distinct_code_and_text() -> None:
    assert all(failure.text.endswith(".") and failure.code.isascii() for failure in ALL_FAILURES)
    texts = {failure.code: failure.text for failure in ALL_FAILURES}
    assert len({failure.text for failure in ALL_FAILURES}) == len(texts)


def test_malformed_http_response_is_described() -> None:
    request = aiohttp.RequestInfo(URL("http://h"), "POST", CIMultiDictProxy(CIMultiDict[str]()))
    error = aiohttp.ClientResponseError(request, (), message=SECRET)

    failure = failure_of(error)
    assert (failure.code, failure.worker_retries) == ("model_error", True)
    assert failure.upstream_fields == {"received": "The server sent a malformed HTTP response."}


@pytest.mark.parametrize("reason", [None, *run_failures.FAILURES_BY_REASON])
def test_backend_is_retryable_if_a_run_is_repeated(reason: Reason | None) -> None:
    error = unusable("x", None, reason=reason)

    with pytest.raises(ModelBackendError) as caught, map_errors("m", secrets=()):
        raise error

    assert caught.value.retryable == failure_of(error).worker_retries
