"""Each row of the error table, where a user stands: what is read, and how often was asked."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import pytest
import pytest_asyncio

from tests.docs.test_docs import FAILED
from tests.e2e.conftest import System, emptied
from tests.support.sse_client import Json, SseClient, check_whole, chunks, error_detail

pytestmark = pytest.mark.asyncio(loop_scope="session")

HELLO: list[list[Json]] = [[{"text": ["Hel", "lo", " world"]}]]
SOON = format_datetime(datetime.now(UTC), usegmt=True)
#: As the page of errors has them, so that the code is measured by it.
FAILURES = {row.code: row for row in FAILED}


def refusal(status: int, code: str | None = None, **headers: str) -> Json:
    body = {"error": {"message": "secret", "type": "t", "code": code}}
    return {
        "status": status,
        "body": body,
        "headers": {k.replace("_", "-"): v for k, v in headers.items()},
    }


def in_stream(data: str) -> Json:
    return {"raw": f"data: {data}\n\ndata: [DONE]\n\n"}


def calls(tool: str) -> list[list[Json]]:
    """A model that calls a tool in each step."""
    return [
        [{"tool": {"id": f"call-{n}", "name": tool, "arguments": '{"title": "A"}'}}]
        for n in range(5)
    ]


PIXEL = "data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAACAkQBADs="


def file(url: str, media_type: str) -> Json:
    parts = [
        {"type": "file", "url": url, "mediaType": media_type},
        {"type": "text", "text": "What is it?"},
    ]
    return {"messages": [{"id": "u1", "role": "user", "parts": parts}]}


@dataclass(frozen=True)
class Row:
    """A model that fails so, twice where it is asked twice."""

    code: str
    failure: Json = field(default_factory=dict[str, Any])
    turns: list[list[Json]] = field(default_factory=lambda: HELLO)
    asked: int | None = None
    body: Json = field(default_factory=dict[str, Any])
    provider: str = ""

    @property
    def requests(self) -> int:
        return self.asked if self.asked is not None else 1 + FAILURES[self.code].retried


#: At most one retry and three steps.
ROWS: dict[str, Row] = {
    "400": Row("model_rejected", refusal(400)),
    "401": Row("model_auth", refusal(401)),
    "402": Row("quota_exceeded", refusal(402)),
    "403": Row("model_auth", refusal(403)),
    "404": Row("model_not_found", refusal(404)),
    "408": Row("model_timeout", refusal(408)),
    "409": Row("model_error", refusal(409)),
    "413": Row("model_rejected", refusal(413)),
    "422": Row("model_rejected", refusal(422)),
    "429": Row("rate_limited", refusal(429)),
    "429 for now": Row("rate_limited", refusal(429, retry_after="0")),
    "429 for a fraction": Row("rate_limited", refusal(429, retry_after="0.02")),
    "429 for longer by a fraction": Row(
        "rate_limited", refusal(429, retry_after="3600.5"), asked=1
    ),
    "429 for some milliseconds": Row("rate_limited", refusal(429, retry_after_ms="20")),
    "429 until a date": Row("rate_limited", refusal(429, retry_after=SOON)),
    "429 for longer than the run": Row("rate_limited", refusal(429, retry_after="3600"), asked=1),
    "429 for want of money": Row("quota_exceeded", refusal(429, "insufficient_quota")),
    "500": Row("model_error", refusal(500)),
    "501": Row("model_rejected", refusal(501)),
    "502": Row("model_error", refusal(502)),
    "502 of a proxy": Row("model_error", {"status": 502, "body": "<html>secret</html>"}),
    "503": Row("model_unavailable", refusal(503)),
    "504": Row("model_timeout", refusal(504)),
    "529": Row("model_unavailable", refusal(529)),
    "too long": Row("context_too_long", refusal(400, "context_length_exceeded")),
    "an error in the stream": Row("model_error", in_stream('{"error": {"message": "secret"}}')),
    "a rate limit in the stream": Row(
        "rate_limited", in_stream('{"error": {"message": "", "code": "rate_limit_exceeded"}}')
    ),
    "a list for a chunk": Row("model_error", in_stream("[1, 2]")),
    "no JSON": Row("model_error", in_stream("secret")),
    "no stream": Row("model_unreachable", {"raw": "<html>secret</html>"}),
    "a reset before the answer": Row("model_unreachable", {"cut_before_headers": True}),
    "a reset in the answer": Row("model_unreachable", {"cut_after": 1}),
    "withheld": Row("content_filter", turns=[[{"finish": "content_filter"}]]),
    "cut short": Row("output_limit", turns=[[{"finish": "length"}]]),
    "no end of steps": Row(
        "usage_limit", turns=calls("generateCard"), asked=3, body={"tools": ["generateCard"]}
    ),
    "an unknown tool": Row("model_misbehaved", turns=calls("launch"), asked=2),
    "a file of ours": Row(
        "file_unavailable", asked=0, body=file("http://127.0.0.1:1/a.pdf", "application/pdf")
    ),
    "an image for a model that sees none": Row(
        "unsupported_content", asked=0, body=file(PIXEL, "image/gif"), provider="blind/"
    ),
}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def busy_house(workerless_system: System) -> AsyncGenerator[System]:
    """One worker that tries a failure again once."""
    async with (
        emptied(workerless_system),
        workerless_system.start_workers(
            RUN__MAX_RETRIES=1,
            RUN__MAX_STEPS=3,
            RUN__TIMEOUT_SECONDS=10,
            PROVIDERS__BLIND__BASE_URL=workerless_system.upstream.base_url,
            PROVIDERS__BLIND__PROFILE__IMAGES="false",
        ),
    ):
        yield workerless_system


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
async def test_failure_is_reported_and_retried_as_documented(
    busy_house: System, sse: SseClient, name: str, row: Row
) -> None:
    model = name.replace(" ", "-")
    await busy_house.upstream.script(model, row.turns, [row.failure] * 2 if row.failure else [])

    about: Json = {"model": f"{row.provider}{model}", **row.body}
    async with sse.ask(busy_house.chat, name, **about) as stream:
        events = await stream.rest()

    check_whole(events, ending="error")
    failure = FAILURES[row.code]
    assert error_detail(events) == {
        "code": failure.code,
        "requestId": stream.response.headers["x-request-id"],
        "retryable": failure.retryable,
    }
    assert chunks(events)[-1]["errorText"] == failure.text
    assert not any("secret" in event.data for event in events)
    assert len(await busy_house.upstream.requests(model)) == row.requests
