"""Problem responses (RFC 9457), and the only mapping from errors to HTTP statuses."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from pydantic_core import to_json
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.auth.auth_errors import challenge, log_refusal
from api.http.rate_limit_headers import rate_limit_headers
from api.http.request_id import request_id_of
from api.monitoring.request_metrics import count_refusal
from shared.errors import (
    INTERNAL_ERROR_TEXT,
    CursorLost,
    Forbidden,
    InvalidRequest,
    JobMissing,
    MalformedRequest,
    MessageExpired,
    NotAcceptable,
    NotFound,
    NotOpenAICompatible,
    RateLimited,
    Refusal,
    RunDeferred,
    RunEnded,
    RunExpired,
    RunInProgress,
    RunLeased,
    TooLarge,
    ToolCallNotPending,
    ToolCallsExpired,
    TooManyRequests,
    Unauthenticated,
    Unavailable,
    UnsupportedMediaType,
)
from shared.redis.client import REDIS_UNAVAILABLE
from shared.telemetry.logs import raise_location

log = structlog.stdlib.get_logger()

_STATUSES: Mapping[type, int] = {
    MalformedRequest: 400,
    Unauthenticated: 401,
    Forbidden: 403,
    InvalidRequest: 422,
    TooLarge: 413,
    UnsupportedMediaType: 415,
    NotFound: 404,
    NotAcceptable: 406,
    RunInProgress: 409,
    RunEnded: 409,
    RunLeased: 409,
    RunDeferred: 409,
    JobMissing: 409,
    ToolCallNotPending: 409,
    ToolCallsExpired: 410,
    RunExpired: 410,
    CursorLost: 410,
    MessageExpired: 410,
    TooManyRequests: 429,
    Unavailable: 503,
}
_TITLES = {
    400: "Bad request",
    401: "Not authenticated",
    403: "Forbidden",
    404: "Not found",
    405: "Method not allowed",
    406: "Not acceptable",
    409: "Conflict",
    410: "Gone",
    413: "Too large",
    415: "Unsupported media type",
    422: "Not valid",
    429: "Too many requests",
    500: "Internal error",
    503: "Unavailable",
}

#: The examples of each status in the OpenAPI document.
_EXAMPLES: dict[int, tuple[Refusal, ...]] = {
    400: (MalformedRequest("The request has several Host headers. Send only one."),),
    401: (Unauthenticated(),),
    403: (Forbidden(),),
    404: (NotFound(),),
    406: (NotAcceptable(),),
    409: (RunInProgress(),),
    410: (RunExpired(),),
    413: (TooLarge("The body is larger than 8,388,608 bytes."),),
    415: (UnsupportedMediaType(),),
    422: (InvalidRequest("messages: Field required", field="messages"),),
    429: (RateLimited(retry_after=3),),
    503: (Unavailable(),),
}
_INTERNAL_ERROR = ("internal_error", INTERNAL_ERROR_TEXT)


def status_of(error_type: type[Refusal]) -> int:
    return next(_STATUSES[base] for base in error_type.__mro__ if base in _STATUSES)


class Problem(BaseModel):
    """The body of every error response. `detail` is for people, `code` for programs."""

    type: str = Field(examples=["about:blank"])
    title: str = Field(examples=["Not valid"])
    status: int = Field(examples=[422])
    code: str = Field(examples=["invalid_request"])
    detail: str = Field(examples=["messages: Field required"])
    field: str | None = Field(default=None, examples=["messages[0].role"])
    request_id: str = Field(examples=["req_6Jt0"])
    error: dict[str, str] | None = Field(
        default=None,
        description="The error as clients of OpenAI's API expect it. Only with the code"
        " `not_openai_compatible`",
    )


def problem_response(
    request_id: str,
    status: int,
    code: str,
    detail: str,
    field: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    return Response(
        to_json(_problem(request_id, status, code, detail, field)),
        status,
        headers=headers,
        media_type="application/problem+json",
    )


def _problem(
    request_id: str, status: int, code: str, detail: str, field: str | None
) -> dict[str, Any]:
    problem = Problem(
        type="about:blank",
        title=_TITLES.get(status, "Error"),
        status=status,
        code=code,
        detail=detail,
        field=field,
        request_id=request_id,
        error=_openai_error(code, detail),
    )
    return problem.model_dump(exclude_none=True)


def _openai_error(code: str, detail: str) -> dict[str, str] | None:
    if code != NotOpenAICompatible.code:
        return None
    return {"message": detail, "type": "invalid_request_error", "code": code}


def install(app: FastAPI) -> None:
    app.add_exception_handler(Refusal, _on_refusal)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(HTTPException, _on_http_exception)
    for error in REDIS_UNAVAILABLE:
        app.add_exception_handler(error, _on_redis_unavailable)
    app.add_exception_handler(ClientDisconnect, _on_disconnect)


def responses(*statuses: int, also: Sequence[Refusal] = ()) -> dict[int | str, dict[str, Any]]:
    """Return the error responses of a route for the OpenAPI document, with examples.

    `also` are the errors that only this route responds with.
    """
    return {status: _response(status, also) for status in statuses}


def _response(status: int, also: Sequence[Refusal]) -> dict[str, Any]:
    examples = {
        code: {"value": _problem("req_6Jt0vXh1Qq2", status, code, detail, field)}
        for code, detail, field in _documented_errors(status, also)
    }
    schema = {"$ref": "#/components/schemas/Problem"}
    content = {"application/problem+json": {"schema": schema, "examples": examples}}
    return {"description": _TITLES[status], "content": content}


def _documented_errors(status: int, also: Sequence[Refusal]) -> list[tuple[str, str, str | None]]:
    if status == 500:
        return [(*_INTERNAL_ERROR, None)]
    extra = (error for error in also if status_of(type(error)) == status)
    return [(error.code, str(error), error.field) for error in (*_EXAMPLES[status], *extra)]


def refusal_response(scope: Scope, refusal: Refusal) -> Response:
    count_refusal(refusal.code)
    status = status_of(type(refusal))
    headers = _headers(refusal)
    return problem_response(
        request_id_of(scope), status, refusal.code, str(refusal), refusal.field, headers
    )


async def _on_refusal(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)  # noqa: S101  (registered for Refusal)
    if isinstance(error, Forbidden):
        log_refusal(error)
    return refusal_response(request.scope, error)


def _headers(error: Refusal) -> dict[str, str]:
    if isinstance(error, TooManyRequests):
        return {"retry-after": str(error.retry_after), **rate_limit_headers(error.rate_limit)}
    if value := challenge(error):
        return {"www-authenticate": value}
    return {"retry-after": str(error.retry_after)} if isinstance(error, Unavailable) else {}


async def _on_validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"][1:])
    return problem_response(
        request_id_of(request.scope), 422, "invalid_request", f"{field}: {first['msg']}", field
    )


async def _on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101
    title = _TITLES.get(error.status_code, "Error")
    code = title.lower().replace(" ", "_")
    return problem_response(
        request_id_of(request.scope), error.status_code, code, error.detail, headers=error.headers
    )


async def _on_redis_unavailable(request: Request, error: Exception) -> Response:
    log.error(
        "request.redis_unavailable",
        message="Redis is unavailable; responded with 503",
        error=type(error).__name__,
    )
    return await _on_refusal(request, Unavailable())


async def _on_disconnect(request: Request, error: Exception) -> Response:  # noqa: ARG001
    """Respond to a client that disconnected while sending its request. The response is not sent."""
    return Response(status_code=400)


class ProblemMiddleware:
    """Responds with 500 to unexpected errors, and with 503 to requests that the server cancels.

    uvicorn cancels requests that outlast its shutdown, and would respond with a plain text.
    Logs the error's type and place without its message, which may contain prompts.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def tracking_send(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, tracking_send)
        except asyncio.CancelledError:
            if scope["type"] != "http" or started:
                raise
            await refusal_response(scope, Unavailable())(scope, receive, send)
        except Exception as error:
            if scope["type"] != "http":
                raise
            log.error(  # noqa: TRY400  (a traceback may contain prompts)
                "request.failed",
                message="Request failed with an unexpected error",
                error=type(error).__name__,
                where=raise_location(error),
            )
            # After the start, the server resets the connection of the incomplete response.
            if not started:
                problem = problem_response(request_id_of(scope), 500, *_INTERNAL_ERROR)
                await problem(scope, receive, send)
