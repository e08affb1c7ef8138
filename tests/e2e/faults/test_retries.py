"""Each row of the documented error table: what the user sees and how often it is retried."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import pytest
import pytest_asyncio

from tests.support.reference.errors_page import FAILED
from tests.support.sse_client import Json, SseClient, check_whole, chunks, error_detail
from tests.support.system.running_system import System, empty_redis

pytestmark = pytest.mark.asyncio(loop_scope="session")

HELLO: list[list[Json]] = [[{"text": ["Hel", "lo", " world"]}]]
SOON = format_datetime(datetime.now(UTC), usegmt=True)
#: The rows of the errors page, so that this test checks the documentation.
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
    """Responses that call a tool in each step."""
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
class FailureCase:
    """A failure of the model, repeated if the request is retried."""

    code: str
    failure: Json = field(default_factory=dict[str, Any])
    responses: list[list[Json]] = field(default_factory=lambda: HELLO)
    expected_requests: int | None = None
    body: Json = field(default_factory=dict[str, Any])
    provider: str = ""

    @property
    def requests(self) -> int:
        return (
            self.expected_requests
            if self.expected_requests is not None
            else 1 + FAILURES[self.code].retried
        )


#: With at most one retry and three steps.
CASES: dict[str, FailureCase] = {
    "400": FailureCase("model_rejected", refusal(400)),
    "401": FailureCase("model_auth", refusal(401)),
    "402": FailureCase("quota_exceeded", refusal(402)),
    "403": FailureCase("model_auth", refusal(403)),
    "404": FailureCase("model_endpoint", refusal(404)),
    "404 for the model": FailureCase("model_not_found", refusal(404, "model_not_found")),
    "408": FailureCase("model_timeout", refusal(408)),
    "409": FailureCase("model_error", refusal(409)),
    "413": FailureCase("context_too_long", refusal(413)),
    "422": FailureCase("model_rejected", refusal(422)),
    "429": FailureCase("rate_limited", refusal(429)),
    "429 with retry-after 0": FailureCase("rate_limited", refusal(429, retry_after="0")),
    "429 with a fraction of a second": FailureCase(
        "rate_limited", refusal(429, retry_after="0.02")
    ),
    "429 with a long fractional delay": FailureCase(
        "rate_limited", refusal(429, retry_after="3600.5"), expected_requests=1
    ),
    "429 with retry-after-ms": FailureCase("rate_limited", refusal(429, retry_after_ms="20")),
    "429 with a date": FailureCase("rate_limited", refusal(429, retry_after=SOON)),
    "429 with a delay over the run timeout": FailureCase(
        "rate_limited", refusal(429, retry_after="3600"), expected_requests=1
    ),
    "429 insufficient quota": FailureCase("quota_exceeded", refusal(429, "insufficient_quota")),
    "500": FailureCase("model_error", refusal(500)),
    "501": FailureCase("model_rejected", refusal(501)),
    "502": FailureCase("model_error", refusal(502)),
    "502 with HTML": FailureCase("model_error", {"status": 502, "body": "<html>secret</html>"}),
    "503": FailureCase("model_unavailable", refusal(503)),
    "504": FailureCase("model_timeout", refusal(504)),
    "529": FailureCase("model_unavailable", refusal(529)),
    "context too long": FailureCase("context_too_long", refusal(400, "context_length_exceeded")),
    "error in the stream": FailureCase(
        "model_error", in_stream('{"error": {"message": "secret"}}')
    ),
    "rate limit in the stream": FailureCase(
        "rate_limited", in_stream('{"error": {"message": "", "code": "rate_limit_exceeded"}}')
    ),
    "list in place of a chunk": FailureCase("model_error", in_stream("[1, 2]")),
    "invalid JSON": FailureCase("model_error", in_stream("secret")),
    "HTML in place of a stream": FailureCase("model_endpoint", {"raw": "<html>secret</html>"}),
    "reset before the response": FailureCase("model_unreachable", {"cut_before_headers": True}),
    "reset in the response": FailureCase("model_unreachable", {"cut_after": 1}),
    "content filter": FailureCase("content_filter", responses=[[{"finish": "content_filter"}]]),
    "output limit": FailureCase("output_limit", responses=[[{"finish": "length"}]]),
    "too many steps": FailureCase(
        "usage_limit",
        responses=calls("generateCard"),
        expected_requests=3,
        body={"tools": ["generateCard"]},
    ),
    "unknown tool": FailureCase("model_misbehaved", responses=calls("launch"), expected_requests=2),
    "file at a private address": FailureCase(
        "file_unavailable",
        expected_requests=0,
        body=file("http://127.0.0.1:1/a.pdf", "application/pdf"),
    ),
    "image for a text model": FailureCase(
        "unsupported_content", expected_requests=0, body=file(PIXEL, "image/gif"), provider="blind/"
    ),
}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def retry_system(workerless_system: System) -> AsyncGenerator[System]:
    """A system with one worker that retries a failure once."""
    async with (
        empty_redis(workerless_system),
        workerless_system.start_workers(
            RUN__MAX_RETRIES=1,
            RUN__MAX_STEPS=3,
            RUN__TIMEOUT_SECONDS=120,  # a retry follows only if its pause ends before
            WORKER__LEASE_SECONDS=60,
            PROVIDERS__BLIND__BASE_URL=workerless_system.upstream.base_url,
            PROVIDERS__BLIND__PROFILE__IMAGES="false",
        ),
    ):
        yield workerless_system


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_failure_is_reported_and_retried_as_documented(
    retry_system: System, sse: SseClient, name: str, case: FailureCase
) -> None:
    model = name.replace(" ", "-")
    await retry_system.upstream.script(
        model, case.responses, [case.failure] * 2 if case.failure else []
    )

    body: Json = {"model": f"{case.provider}{model}", **case.body}
    async with sse.ask(retry_system.chat, name, **body) as stream:
        events = await stream.rest()

    check_whole(events, ending="error")
    failure = FAILURES[case.code]
    assert error_detail(events) == {
        "code": failure.code,
        "requestId": stream.response.headers["x-request-id"],
        "retryable": failure.retryable,
    }
    assert chunks(events)[-1]["errorText"] == failure.text
    assert not any("secret" in event.data for event in events)
    assert len(await retry_system.upstream.requests(model)) == case.requests
