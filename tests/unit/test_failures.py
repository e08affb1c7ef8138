"""What becomes of each error."""

import pytest
from pydantic_ai import exceptions

from worker.failures import ALL, INTERNAL, failure_of

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
    (http_error(408), "model_error", True),
    (http_error(429), "model_error", True),
    (http_error(503), "model_error", True),
    (exceptions.ModelAPIError("m", SECRET), "model_error", True),
    (ValueError(SECRET), "internal_error", False),
    (KeyError(SECRET), "internal_error", False),
    (exceptions.UserError(SECRET), "unsupported_content", False),
]


@pytest.mark.parametrize(("error", "code", "retried"), ROWS, ids=lambda row: str(row)[:40])
def test_each_error_has_its_code(error: Exception, code: str, *, retried: bool) -> None:
    failure = failure_of(error)

    assert (failure.code, failure.retried) == (code, retried)


@pytest.mark.parametrize("error", [row[0] for row in ROWS], ids=lambda error: type(error).__name__)
def test_no_errors_own_words_are_shown(error: Exception) -> None:
    assert SECRET not in repr(failure_of(error))


def test_an_error_nobody_knows_is_ours() -> None:
    assert failure_of(RuntimeError(SECRET)) is INTERNAL


def test_a_model_that_says_when_to_come_back_is_heard() -> None:
    assert failure_of(exceptions.ModelRateLimitError("m", "no", retry_after=7)).retry_after == 7.0
    assert failure_of(exceptions.ModelServerError("m", "no", retry_after=0.5)).retry_after == 0.5


def test_when_to_come_back_means_nothing_where_there_is_no_coming_back() -> None:
    error = exceptions.ModelQuotaExceededError("m", "no", retry_after=7)

    assert failure_of(error).retry_after is None


def test_the_header_says_when_to_come_back() -> None:
    error = exceptions.ModelHTTPError(429, "m", headers={"Retry-After": "12"})

    assert failure_of(error).retry_after == 12.0


def test_every_failure_has_words_for_people_and_a_code_of_its_own() -> None:
    assert all(failure.text.endswith(".") and failure.code.isascii() for failure in ALL)
    texts = {failure.code: failure.text for failure in ALL}
    assert len({failure.text for failure in ALL}) == len(texts)
