"""Parsing of `Retry-After` headers."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from pydantic_ai.exceptions import ModelHTTPError, ModelRateLimitError

from worker.models.retry_after import parse_retry_after
from worker.models.run_failures import failure_of


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "2"}, 2.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": " 3 "}, 3.0),
        ({"retry-after": "99999999999999999999"}, 1e20),
        ({"retry-after-ms": "20"}, 0.02),
        ({"retry-after-ms": "20", "retry-after": "2"}, 0.02),
        ({"retry-after-ms": "soon", "retry-after": "2"}, 2.0),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
    ],
)
def test_retry_after_formats_are_parsed(headers: dict[str, str], seconds: float) -> None:
    assert parse_retry_after(headers) == seconds


@pytest.mark.parametrize("text", ["", "-1", "nan", "inf", "soon", "Wed, 99 Oct 2015 07:28:00 GMT"])
def test_invalid_retry_after_is_ignored(text: str) -> None:
    assert parse_retry_after({"retry-after": text}) is None
    assert parse_retry_after({}) is None


@pytest.mark.parametrize("usegmt", [True, False])
def test_http_date_is_converted_to_seconds(*, usegmt: bool) -> None:
    text = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=usegmt)

    assert 55 < (parse_retry_after({"retry-after": text}) or 0) <= 60


def test_failure_keeps_the_requested_retry_delay() -> None:
    with_header = ModelHTTPError(429, "m", None, headers={"Retry-After": "1.5"})
    with_attribute = ModelRateLimitError("m", "busy", retry_after=4.0)

    assert failure_of(with_header).retry_after == 1.5
    assert failure_of(with_attribute).retry_after == 4.0
    assert failure_of(ModelHTTPError(429, "m", None)).retry_after is None
