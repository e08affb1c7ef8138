"""The chat routes: start a run, follow it, stop it, and erase the chat."""

from functools import partial
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from api.auth.principal import Caller, principal_of
from api.chat.idempotency_key import IdempotencyKey
from api.chat.ids import ALIAS, ID_PATTERN, check_id
from api.chat.validation import read_chat_request
from api.http import problems
from api.http.detached import on_end
from api.http.rate_limit_headers import rate_limit_headers
from api.http.request_id import request_id_of
from api.monitoring.tracing import trace_run
from api.openapi import stream_schema
from api.openapi.request_schema import CHAT_BODY
from api.process import CurrentProcess, process_of
from api.routes import openai_clients
from api.streaming.chunk_index import TAIL_HEADER, StartIndex, find_chunk
from api.streaming.cursor import LastEventId, read_last_event_id
from api.streaming.relay import run_headers
from api.streaming.stream_format import RequestedFormat, StreamFormat, requested_format
from api.streaming.stream_slots import RETRY_AFTER
from shared.errors import (
    BudgetExceeded,
    ChatQueueFull,
    CursorLost,
    IdempotencyMismatch,
    IntakePaused,
    MessageExpired,
    NotFound,
    NotOpenAICompatible,
    OwnerStorageFull,
    QueueFull,
    RepeatedRunExpired,
    RunInProgress,
    StorageFull,
    ToolCallNotPending,
    ToolCallsExpired,
    TooManyRuns,
    TooManyStreams,
    UnsupportedContent,
)
from shared.streams.run_state import RunState

router = APIRouter(tags=["chat"])

ChatId = Annotated[
    str,
    Path(min_length=1, description="The ID of the chat", json_schema_extra={"pattern": ID_PATTERN}),
]

RunIdQuery = Annotated[
    str | None,
    Query(
        alias="runId",
        pattern=r"^[A-Za-z0-9_-]{1,64}$",
        description="The run to stop instead of the live one: `x-run-id` of its stream."
        " A run that has ended stays unchanged.",
    ),
]

MergedQuery = Annotated[
    bool,
    Query(
        description="Whether to merge successive deltas of one part that are already stored. The"
        " `id:` of a merged event is that of its last delta. The comment `: from` before it"
        " contains the offset of its first delta. Has no effect with `startIndex`"
    ),
]


async def _take_stream_slot(request: Request, process: CurrentProcess, caller: Caller) -> None:
    """Count the response as a stream of the caller until it has been sent."""
    process.stream_slots.acquire(caller.owner)
    on_end(request.scope, partial(process.stream_slots.release, caller.owner))


STREAM_SLOT = Depends(_take_stream_slot)
TOO_MANY_STREAMS = TooManyStreams(retry_after=RETRY_AFTER)
_STREAM = stream_schema.stream_response()
_REFUSALS = (
    IdempotencyMismatch(),
    NotOpenAICompatible(),
    RepeatedRunExpired(),
    ToolCallNotPending(),
    ToolCallsExpired(),
    BudgetExceeded(retry_after=3600),
    ChatQueueFull(retry_after=3),
    TooManyRuns(retry_after=3),
    TOO_MANY_STREAMS,
    OwnerStorageFull(retry_after=300),
    QueueFull(retry_after=3),
    StorageFull(),
    IntakePaused(),
    UnsupportedContent(
        "messages[0].parts[0].mediaType: Files of type application/zip are not allowed.",
        field="messages[0].parts[0].mediaType",
    ),
)


class AnswerMessage(BaseModel):
    """An answer as the AI SDK's `UIMessage`."""

    id: str = Field(examples=["msg_8vGQ2kZ1xkqkJwqfJ0yR"])
    role: Literal["assistant"]
    parts: list[dict[str, Any]] = Field(
        description="The parts, as a client that followed the run has them",
        examples=[[{"type": "step-start"}, {"type": "text", "text": "Hello", "state": "done"}]],
    )
    metadata: dict[str, Any] | None = None


_SEND: dict[str, Any] = {
    "response_class": Response,
    "dependencies": [STREAM_SLOT],
    "responses": {
        **_STREAM,
        **problems.responses(406, 409, 410, 413, 415, 422, 429, 503, also=_REFUSALS),
    },
    "openapi_extra": CHAT_BODY,
}
_FOLLOW: dict[str, Any] = {
    "response_class": Response,
    "dependencies": [STREAM_SLOT],
    "responses": {
        **_STREAM,
        204: {"description": "The chat has no run, or its run ended at this cursor."},
        **problems.responses(404, 406, 410, 422, 429, 503, also=(CursorLost(), TOO_MANY_STREAMS)),
    },
}
_MESSAGE: dict[str, Any] = {
    "response_class": Response,
    "responses": {
        200: {
            "description": "The message",
            "model": AnswerMessage,
            "headers": stream_schema.RUN_HEADERS,
        },
        **problems.responses(404, 409, 410, 422, 503, also=(RunInProgress(), MessageExpired())),
    },
}
_STOP: dict[str, Any] = {"responses": problems.responses(404, 415, 422, 503)}
_ERASE: dict[str, Any] = {
    "status_code": 204,
    "response_class": Response,
    "responses": {
        204: {"description": "The chat is erased."},
        **problems.responses(404, 415, 422, 503),
    },
}
# Routes match in order of definition, and the lower decorator is applied first: the aliases must
# precede the routes whose chat ids would match their paths.
_ALIAS_PATH = f"/chat/{ALIAS}"
_ALIAS_STREAM, _ALIAS_STOP = (
    f"{_ALIAS_PATH}/{{chat_id:path}}/{action}" for action in ("stream", "stop")
)


def alias_of(route: str, operation_id: str) -> dict[str, Any]:
    return {"summary": f"Alias of `{route}`", "operation_id": operation_id}


class Stopped(BaseModel):
    run_id: str = Field(examples=["8vGQ2kZ1xkqkJwqfJ0yR"])
    state: RunState = Field(description="The final state of the run", examples=["cancelled"])


@router.post("/chat", **_SEND)
@router.post(_ALIAS_PATH, **alias_of("POST /chat", "send_chat_completion"), **_SEND)
async def send_chat(
    request: Request, idempotency_key: IdempotencyKey, start_index: StartIndex = None
) -> Response:
    """Start a run and stream its answer. The run continues if the client disconnects."""
    # Called directly, because each dependency would delay the first token by 30 µs.
    process, caller = process_of(request), principal_of(request)
    stream_format = requested_format(request)
    openai_clients.check_client(request)
    chat = await read_chat_request(request, process.settings.limits)
    openai_clients.check_body(request, chat)
    accepted = await process.chats.accept(
        caller, chat, request_id_of(request.scope), idempotency_key
    )
    response = await process.relays.create(
        accepted.run, stream_format, counts_chunks=start_index is not None
    )
    response.headers.update(rate_limit_headers(*accepted.limits))
    return response


@router.get("/chat/{chat_id:path}/stream", **_FOLLOW)
@router.get(
    _ALIAS_STREAM,
    **alias_of("GET /chat/{chat_id}/stream", "follow_chat_completion"),
    **_FOLLOW,
)
async def follow_chat(
    process: CurrentProcess,
    caller: Caller,
    stream_format: RequestedFormat,
    chat_id: ChatId,
    *,
    last_event_id: LastEventId = None,
    live: Annotated[
        bool, Query(description="Whether to follow only a live run: 204 if the run has ended")
    ] = False,
    start_index: StartIndex = None,
    merged: MergedQuery = True,
) -> Response:
    """Follow a run of the chat: the one that the cursor names, else the live or newest one."""
    check_id("chat_id", chat_id, process.settings.limits)
    if start_index is not None:
        return await _follow_chunks(process, caller, stream_format, chat_id, start_index)
    cursor = read_last_event_id(last_event_id)
    run = await process.lookup.find(caller, chat_id, cursor)
    is_ended = live and run is not None and run.state.ended
    if run is None or is_ended or await process.lookup.is_over(run, cursor):
        return Response(status_code=204)
    return await process.relays.create(
        run, stream_format, cursor, rebuild=cursor is None, merged=merged
    )


async def _follow_chunks(
    process: CurrentProcess,
    caller: Caller,
    stream_format: StreamFormat,
    chat_or_run_id: str,
    start_index: int,
) -> Response:
    """Follow a run from a chunk on, for `WorkflowChatTransport`."""
    run = await process.lookup.find_chat_or_run(caller, chat_or_run_id)
    position = await find_chunk(process.stores.stream, run, start_index) if run else None
    if run is None or position is None or position.is_over:
        return Response(status_code=204)
    response = await process.relays.create(
        run, stream_format, skipped=position.skipped, counts_chunks=True
    )
    response.headers[TAIL_HEADER] = str(position.tail)
    return response


@router.get("/chat/{chat_id:path}/message", **_MESSAGE)
@router.get(
    f"{_ALIAS_PATH}/{{chat_id:path}}/message",
    **alias_of("GET /chat/{chat_id}/message", "read_newest_chat_completion"),
    **_MESSAGE,
)
async def read_newest_message(process: CurrentProcess, caller: Caller, chat_id: ChatId) -> Response:
    """Return the chat's newest message, once its run has ended."""
    return await _read_message(process, caller, chat_id)


@router.get("/chat/{chat_id:path}/messages/{message_id}", **_MESSAGE)
@router.get(
    f"{_ALIAS_PATH}/{{chat_id:path}}/messages/{{message_id}}",
    **alias_of("GET /chat/{chat_id}/messages/{message_id}", "read_chat_completion"),
    **_MESSAGE,
)
async def read_message(
    process: CurrentProcess, caller: Caller, chat_id: ChatId, message_id: str
) -> Response:
    """Return one of the chat's messages, once its run has ended."""
    return await _read_message(process, caller, chat_id, message_id)


async def _read_message(
    process: CurrentProcess, caller: Caller, chat_id: str, message_id: str | None = None
) -> Response:
    check_id("chat_id", chat_id, process.settings.limits)
    run, message = await process.messages.read(caller.owner, chat_id, message_id)
    trace_run(run)
    return JSONResponse(message, headers=run_headers(run))


@router.post("/chat/{chat_id:path}/stop", **_STOP)
@router.post(_ALIAS_STOP, **alias_of("POST /chat/{chat_id}/stop", "stop_chat_completion"), **_STOP)
async def stop_chat(
    process: CurrentProcess,
    caller: Caller,
    chat_id: ChatId,
    *,
    queued: Annotated[
        bool, Query(description="Whether to also stop the runs that wait for this one")
    ] = False,
    run_id: RunIdQuery = None,
) -> Stopped:
    """Stop the chat's live run. The partial answer is kept, and the stream ends with `abort`.

    The next waiting run starts, unless `queued` is true.
    """
    check_id("chat_id", chat_id, process.settings.limits)
    if run_id is None:
        run = await process.lookup.find(caller, chat_id)
    else:
        run = await process.lookup.find_run(caller, chat_id, run_id)
    if run is None:
        raise NotFound
    trace_run(run)
    if queued:
        for waiting in reversed(await process.lookup.behind(run)):
            await process.run_control.stop(waiting)
    stopped = await process.run_control.stop(run)
    return Stopped(run_id=stopped.id, state=stopped.state)


@router.delete("/chat/{chat_id:path}", **_ERASE)
@router.delete(
    f"{_ALIAS_PATH}/{{chat_id:path}}",
    **alias_of("DELETE /chat/{chat_id}", "erase_chat_completion"),
    **_ERASE,
)
async def erase_chat(process: CurrentProcess, caller: Caller, chat_id: ChatId) -> None:
    """Erase the chat: stop its live run, and delete its runs and answers."""
    check_id("chat_id", chat_id, process.settings.limits)
    await process.eraser.erase(caller.owner, chat_id)
