"""`GET /chat/{id}/events`: the feed of a chat's runs."""

from typing import Annotated, Any

from fastapi import APIRouter, Header, Response
from pydantic import WithJsonSchema

from api.auth.principal import Caller
from api.chat.ids import ALIAS, check_id
from api.http import problems
from api.openapi.chat_events_schema import EVENTS_RESPONSE
from api.process import CurrentProcess
from api.routes.chats import STREAM_SLOT, TOO_MANY_STREAMS, ChatId, alias_of
from api.streaming.chat_state import CURSOR_PATTERN

router = APIRouter(tags=["chat"])

_LastEventId = Annotated[
    str | None,
    Header(description="The last `id:` received", alias="Last-Event-ID"),
    WithJsonSchema({"type": "string", "pattern": CURSOR_PATTERN}),
]
_EVENTS: dict[str, Any] = {
    "response_class": Response,
    "dependencies": [STREAM_SLOT],
    "responses": {
        **EVENTS_RESPONSE,
        **problems.responses(404, 422, 429, 503, also=(TOO_MANY_STREAMS,)),
    },
}


# The alias must precede the route whose chat ids would match its path.
@router.get("/chat/{chat_id:path}/events", **_EVENTS)
@router.get(
    f"/chat/{ALIAS}/{{chat_id:path}}/events",
    **alias_of("GET /chat/{chat_id}/events", "follow_chat_completion_events"),
    **_EVENTS,
)
async def follow_chat_events(
    process: CurrentProcess, caller: Caller, chat_id: ChatId, last_event_id: _LastEventId = None
) -> Response:
    """Follow the chat: which run is live, which runs wait, and which have ended.

    The first events describe the present state.
    """
    check_id("chat_id", chat_id, process.settings.limits)
    return await process.feeds.create(caller.owner, chat_id, last_event_id)
