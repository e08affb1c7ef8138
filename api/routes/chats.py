"""The chat routes: ask, follow, stop."""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Request, Response
from pydantic import BaseModel, Field, WithJsonSchema

from api.auth.principal import Caller
from api.chat.idempotency_key import IdempotencyKey
from api.chat.ids import EARLIER_NAME, ID_PATTERN, check_id
from api.chat.request import read_chat_request
from api.http import problems
from api.http.rate_limit_headers import rate_limit_headers
from api.http.request_id import request_id_of
from api.monitoring.tracing import trace_run
from api.openapi import stream_schema
from api.openapi.request_schema import CHAT_BODY
from api.process import CurrentProcess
from api.streaming.sse import CURSOR_PATTERN, ClientCursor, parse_cursor
from api.streaming.stream_format import RequestedFormat
from shared.errors import (
    IdempotencyMismatch,
    InvalidRequest,
    NotFound,
    QueueFull,
    ToolCallNotPending,
    ToolCallsExpired,
    TooManyRuns,
    UnsupportedContent,
)
from shared.runs.run import RunState
from shared.streams.event_stream import START

router = APIRouter(tags=["chat"])

#: How long a request waits for a Redis that says nothing; longer than a worker may take to stop.
_REDIS_SECONDS = 8.0

ChatId = Annotated[
    str,
    Path(min_length=1, description="The chat's id", json_schema_extra={"pattern": ID_PATTERN}),
]
LastEventId = Annotated[
    str | None,
    Header(description="The `id:` of the last event that arrived"),
    WithJsonSchema({"type": "string", "pattern": CURSOR_PATTERN, "examples": ["1-57@9f3kq0Zr7"]}),
]

_STREAM = stream_schema.stream_response()
_REFUSALS = (
    IdempotencyMismatch(),
    ToolCallNotPending(),
    ToolCallsExpired(),
    TooManyRuns(retry_after=3),
    QueueFull(retry_after=3),
    UnsupportedContent(
        "messages[0].parts[0].mediaType: Files of application/zip are not taken.",
        field="messages[0].parts[0].mediaType",
    ),
)
_ASK: dict[str, Any] = {
    "response_class": Response,
    "responses": {
        **_STREAM,
        **problems.responses(406, 409, 410, 413, 415, 422, 429, 503, also=_REFUSALS),
    },
    "openapi_extra": CHAT_BODY,
}
_FOLLOW: dict[str, Any] = {
    "response_class": Response,
    "responses": {
        **_STREAM,
        204: {"description": "There is nothing to follow, or nothing after this cursor."},
        **problems.responses(404, 406, 410, 422, 503),
    },
}
_STOP: dict[str, Any] = {"responses": problems.responses(404, 415, 422, 503)}
#: Routes are matched in the order in which they are made, from the function up: these go first.
_EARLIER = f"/chat/{EARLIER_NAME}"
_EARLIER_STREAM, _EARLIER_STOP = (
    f"{_EARLIER}/{{chat_id:path}}/{end}" for end in ("stream", "stop")
)


def _earlier(name: str, operation_id: str) -> dict[str, Any]:
    summary = f"The earlier name of `{name}`, for clients that know it"
    return {"summary": summary, "operation_id": operation_id}


class Stopped(BaseModel):
    run_id: str = Field(examples=["8vGQ2kZ1xkqkJwqfJ0yR"])
    state: RunState = Field(description="The final state of the run", examples=["cancelled"])


@router.post("/chat", **_ASK)
@router.post(_EARLIER, **_earlier("POST /chat", "send_chat_completion"), **_ASK)
async def send_chat(
    request: Request,
    process: CurrentProcess,
    caller: Caller,
    wire: RequestedFormat,
    idempotency_key: IdempotencyKey,
) -> Response:
    """Accept a chat, and stream its answer. The run goes on if the client goes away."""
    chat = await read_chat_request(request, process.settings.limits)
    async with asyncio.timeout(_REDIS_SECONDS):
        run, allowance = await process.runs.accept(
            caller, chat, request_id_of(request.scope), idempotency_key
        )
        response = await process.relay(run, wire)
    response.headers.update(rate_limit_headers(allowance))
    return response


@router.get("/chat/{chat_id:path}/stream", **_FOLLOW)
@router.get(
    _EARLIER_STREAM,
    **_earlier("GET /chat/{chat_id}/stream", "follow_chat_completion"),
    **_FOLLOW,
)
async def follow_chat(
    process: CurrentProcess,
    caller: Caller,
    wire: RequestedFormat,
    chat_id: ChatId,
    last_event_id: LastEventId = None,
) -> Response:
    """Follow the chat's newest answer, from its start or after a cursor; ended ones too."""
    check_id("chat_id", chat_id, process.settings.limits)
    cursor = cursor_of(last_event_id)
    async with asyncio.timeout(_REDIS_SECONDS):
        run = await process.runs.find(caller, chat_id, cursor)
        after = await process.runs.place(run, cursor.cursor if cursor else START) if run else None
        if run is None or after is None:
            return Response(status_code=204)
        return await process.relay(run, wire, after, rebuild=cursor is None)


@router.post("/chat/{chat_id:path}/stop", **_STOP)
@router.post(
    _EARLIER_STOP, **_earlier("POST /chat/{chat_id}/stop", "stop_chat_completion"), **_STOP
)
async def stop_chat(process: CurrentProcess, caller: Caller, chat_id: ChatId) -> Stopped:
    """Stop the chat's answer. What was said stays, and the stream ends in `abort`."""
    check_id("chat_id", chat_id, process.settings.limits)
    async with asyncio.timeout(_REDIS_SECONDS):
        run = await process.runs.find(caller, chat_id)
        if run is None:
            raise NotFound
        trace_run(run)
        ended = await process.orders.stop(run)
    return Stopped(run_id=ended.id, state=ended.state)


def cursor_of(text: str | None) -> ClientCursor | None:
    if text is None or not text.strip():
        return None
    cursor = parse_cursor(text)
    if cursor is None:
        raise InvalidRequest(
            "Last-Event-ID: Not a cursor of this server. Send the `id:` of an event as it came.",
            field="Last-Event-ID",
        )
    return cursor
