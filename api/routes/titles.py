"""`POST /title/generate`."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Literal, Self, TypeVar

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError
from starlette.requests import ClientDisconnect

from api.auth.principal import Caller
from api.chat.body_reader import read_body
from api.chat.message import History
from api.http import problems
from api.http.body_model import Name
from api.http.exchange import wait_for_disconnect
from api.http.rate_limit_headers import rate_limit_headers
from api.http.request_id import request_id_of
from api.openapi.component_schemas import reference
from api.process import CurrentProcess
from shared.chat.messages import Message
from shared.chat.messages import TextPart as Text
from shared.settings import LimitSettings

router = APIRouter(tags=["titles"])

_T = TypeVar("_T")


class TitleRequest(BaseModel):
    """Either `messages` as in `POST /chat`, or one `message`."""

    model_config = ConfigDict(extra="ignore")

    messages: History | None = Field(
        default=None, min_length=1, description="The messages of the chat; the first few are enough"
    )
    message: str | None = Field(
        default=None,
        min_length=1,
        description="The text of the first message, instead of `messages`",
    )
    model: Name | None = Field(
        default=None, description="The model to use instead of the configured one"
    )

    @model_validator(mode="after")
    def _require_content(self) -> Self:
        if self.messages is None and self.message is None:
            raise PydanticCustomError("missing", "Send `messages` as in POST /chat, or `message`.")
        return self

    def history(self) -> list[Message]:
        if self.messages is None:
            return [Message(role="user", parts=(Text(text=self.message or ""),))]
        return [message.texts() for message in self.messages]


class Title(BaseModel):
    title: str = Field(examples=["Async patterns in Python"])
    source: Literal["model", "fallback"] = Field(
        description="`fallback`: taken from the first message, because no model answered in time"
    )


_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": reference("TitleRequest"),
                "examples": {
                    "plain": {"value": {"messages": [{"role": "user", "content": "Hello"}]}},
                },
            }
        },
    }
}


@router.post(
    "/title/generate", responses=problems.responses(413, 415, 422, 429), openapi_extra=_BODY
)
async def generate_title(
    request: Request, response: Response, process: CurrentProcess, caller: Caller
) -> Title:
    """Generate a one-line title for a chat. If no model answers, the first message is used."""
    body = await read_body(TitleRequest, request, process.settings.limits, _check_usable)
    rate_limit = await process.titles.check_rate_limit(caller.owner)
    response.headers.update(rate_limit_headers(rate_limit))
    generating = process.titles.generate(
        caller, body.history(), body.model, request_id_of(request.scope)
    )
    title, by_model = await _cancel_on_disconnect(request, generating)
    return Title(title=title, source="model" if by_model else "fallback")


def _check_usable(body: TitleRequest, limits: LimitSettings) -> None:  # noqa: ARG001
    """Refuse a chat without a text if a part of it cannot be used."""
    if any(message.parts for message in body.history()):
        return
    for message in body.messages or ():
        message.check_new_parts()


async def _cancel_on_disconnect(request: Request, work: Coroutine[Any, Any, _T]) -> _T:
    """Return the result of the work, or cancel it when the client disconnects.

    Raises:
        ClientDisconnect: if the client disconnects first.
    """
    working = asyncio.ensure_future(work)
    disconnected = asyncio.ensure_future(wait_for_disconnect(request.receive))
    try:
        await asyncio.wait([working, disconnected], return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnect
        return await working
    finally:
        disconnected.cancel()
        working.cancel()
        await asyncio.gather(working, disconnected, return_exceptions=True)
