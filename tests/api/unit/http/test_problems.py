"""Every error becomes a problem response with its status."""

import asyncio
from collections.abc import AsyncGenerator

import httpx
import pytest
from fastapi import FastAPI
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect

from api.http import problems
from api.http.request_id import RequestIdMiddleware
from shared import errors

ERRORS: list[tuple[Exception, int, str]] = [
    (errors.InvalidRequest(), 422, "invalid_request"),
    (errors.TooLarge(), 413, "too_large"),
    (errors.Unauthenticated(), 401, "unauthenticated"),
    (errors.Forbidden(), 403, "forbidden"),
    (errors.UnsupportedMediaType(), 415, "unsupported_media_type"),
    (errors.NotFound(), 404, "not_found"),
    (errors.RunInProgress(), 409, "run_in_progress"),
    (errors.RunExpired(), 410, "cursor_expired"),
    (errors.CursorLost(), 410, "cursor_lost"),
    (errors.RateLimited(retry_after=2.1), 429, "rate_limited"),
    (errors.TooManyRuns(retry_after=2.1), 429, "too_many_runs"),
    (errors.QueueFull(retry_after=2.1), 429, "queue_full"),
    (errors.Unavailable(), 503, "unavailable"),
    (RedisConnectionError("secret"), 503, "unavailable"),
    (RedisTimeoutError("secret"), 503, "unavailable"),
    (TimeoutError("secret"), 503, "unavailable"),
    (HTTPException(404), 404, "not_found"),
    (HTTPException(405), 405, "method_not_allowed"),
    (ValueError("secret"), 500, "internal_error"),
]


class FailingApp:
    """An application whose route raises `error`."""

    def __init__(self) -> None:
        self.error: BaseException = errors.NotFound()
        self.app = FastAPI(
            middleware=[Middleware(RequestIdMiddleware), Middleware(problems.ProblemMiddleware)]
        )
        problems.install(self.app)
        self.app.add_api_route("/", self._fail)
        self.app.add_api_route("/number/{number}", self._read_number)

    async def _fail(self) -> None:
        raise self.error

    async def _read_number(self, number: int) -> int:
        return number


@pytest.fixture
def failing_app() -> FailingApp:
    return FailingApp()


@pytest.fixture
async def client(failing_app: FailingApp) -> AsyncGenerator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(failing_app.app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client


@pytest.mark.parametrize(
    ("error", "status", "code"), ERRORS, ids=lambda error: type(error).__name__
)
async def test_each_error_is_a_problem_with_its_status(
    failing_app: FailingApp, client: httpx.AsyncClient, error: Exception, status: int, code: str
) -> None:
    failing_app.error = error

    response = await client.get("/", headers={"x-request-id": "mine"})

    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers.get_list("x-request-id") == ["mine"]
    assert response.headers.get("retry-after") == {503: "1", 429: "3"}.get(status)
    problem = response.json()
    assert set(problem) == {"type", "title", "status", "code", "detail", "request_id"}
    assert (problem["status"], problem["code"]) == (status, code)
    assert (problem["type"], problem["request_id"]) == ("about:blank", "mine")
    assert problem["title"] != "Error"
    assert "secret" not in response.text


async def test_cancelled_request_receives_503(
    failing_app: FailingApp, client: httpx.AsyncClient
) -> None:
    failing_app.error = asyncio.CancelledError()

    response = await client.get("/")

    assert (response.status_code, response.json()["code"]) == (503, "unavailable")


async def test_refusal_contains_its_field(
    failing_app: FailingApp, client: httpx.AsyncClient
) -> None:
    failing_app.error = errors.InvalidRequest("messages[0].role: No.", field="messages[0].role")

    problem = (await client.get("/")).json()

    assert (problem["field"], problem["detail"]) == ("messages[0].role", "messages[0].role: No.")


async def test_idempotency_mismatch_names_its_header(
    failing_app: FailingApp, client: httpx.AsyncClient
) -> None:
    failing_app.error = errors.IdempotencyMismatch()

    problem = (await client.get("/")).json()

    assert (problem["status"], problem["code"]) == (422, "idempotency_mismatch")
    assert problem["field"] == "Idempotency-Key"


async def test_invalid_parameter_is_named(client: httpx.AsyncClient) -> None:
    response = await client.get("/number/one")

    assert response.status_code == 422
    assert response.json()["field"] == "number"


async def test_client_disconnect_is_not_a_server_error(
    failing_app: FailingApp, client: httpx.AsyncClient
) -> None:
    failing_app.error = ClientDisconnect()

    assert (await client.get("/")).status_code == 400


def test_every_documented_refusal_is_a_problem() -> None:
    documented = problems.responses(404, 409, 410, 413, 422, 429, 503)

    for status, response in documented.items():
        content = response["content"]["application/problem+json"]
        assert content["schema"] == {"$ref": "#/components/schemas/Problem"}
        for code, example in content["examples"].items():
            problem = problems.Problem.model_validate(example["value"])
            assert (problem.status, problem.code) == (status, code)
