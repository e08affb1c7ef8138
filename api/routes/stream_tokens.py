"""`POST /chat/{id}/stream-token`: a credential for clients that cannot send headers."""

from datetime import datetime
from typing import Any

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from api.auth.principal import Caller
from api.chat.ids import ALIAS, check_id
from api.http import problems
from api.process import CurrentProcess
from api.routes.chats import ChatId, alias_of
from shared.errors import NotFound

router = APIRouter(tags=["chat"])

_ISSUE: dict[str, Any] = {"responses": problems.responses(404, 415, 422, 503)}


class StreamToken(BaseModel):
    token: str = Field(
        description="Send it as `token` in the query of the chat's streams",
        examples=["Yb0c0pAq5PzqkW5C0m1x3n4Vh5kq0y9N2mJtT8sUeXI"],
    )
    expires_at: datetime = Field(
        serialization_alias="expiresAt",
        description="From then on, no stream can be opened with the token. Open ones continue",
    )


# The alias must precede the route whose chat ids would match its path.
@router.post("/chat/{chat_id:path}/stream-token", **_ISSUE)
@router.post(
    f"/chat/{ALIAS}/{{chat_id:path}}/stream-token",
    **alias_of("POST /chat/{chat_id}/stream-token", "issue_completion_stream_token"),
    **_ISSUE,
)
async def issue_stream_token(
    process: CurrentProcess, caller: Caller, chat_id: ChatId, response: Response
) -> StreamToken:
    """Issue a token with which an `EventSource` can follow this chat, and do nothing else."""
    check_id("chat_id", chat_id, process.settings.limits)
    if await process.lookup.find(caller, chat_id) is None:
        raise NotFound
    issued = await process.stream_tokens.issue(caller.owner, chat_id)
    response.headers["cache-control"] = "no-store"
    return StreamToken(token=issued.token, expires_at=issued.expires_at)
