"""`POST /title/generate`: a name for a chat."""

import asyncio
from collections.abc import Coroutine
from typing import Annotated, Any, Literal, Self, TypeVar

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError
from starlette.requests import ClientDisconnect

from api.auth.principal import Caller
from api.chat.message import UIMessage
from api.chat.request import read_body_of
from api.http import problems
from api.http.body_model import FAIL_FAST, Name, max_items
from api.http.rate_limit_headers import rate_limit_headers
from api.http.request_id import request_id_of
from api.openapi.component_schemas import reference
from api.process import CurrentProcess
from shared.chat.messages import Message
from shared.chat.messages import TextPart as Text

router = APIRouter(tags=["titles"])

_T = TypeVar("_T")


class TitleRequest(BaseModel):
    """The messages as `POST /chat` takes them, or one text in their place."""

    model_config = ConfigDict(extra="ignore")

    messages: Annotated[list[UIMessage] | None, FAIL_FAST, max_items("messages")] = Field(
        default=None, min_length=1, description="The chat so far; its beginning is enough"
    )
    message: str | None = Field(default=None, min_length=1, description="Or the first message")
    model: Name | None = Field(default=None, description="Model to ask, if not the configured one")

    @model_validator(mode="after")
    def _check_that_it_says_something(self) -> Self:
        if self.messages is None and self.message is None:
            raise PydanticCustomError("missing", 'Send "messages", as to POST /chat, or "message".')
        return self

    def conversation(self) -> list[Message]:
        if self.messages is None:
            return [Message(role="user", parts=(Text(text=self.message or ""),))]
        return [message.normal() for message in self.messages]


class Title(BaseModel):
    title: str = Field(examples=["Async patterns in Python"])
    source: Literal["model", "fallback"] = Field(
        description="`fallback`: made of the first message, since no model answered in time"
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
    """Name a chat, in one line. There always is a title, whatever becomes of the model."""
    asked = await read_body_of(TitleRequest, request, process.settings.limits)
    allowance = await process.titles.allow(caller.owner)
    response.headers.update(rate_limit_headers(allowance))
    making = process.titles.make(asked.conversation(), asked.model, request_id_of(request.scope))
    title, by_model = await _unless_gone(request, making)
    return Title(title=title, source="model" if by_model else "fallback")


async def _unless_gone(request: Request, making: Coroutine[Any, Any, _T]) -> _T:
    """Give up as soon as nobody is there to read it.

    Raises:
        ClientDisconnect: if so.
    """
    made = asyncio.ensure_future(making)
    gone = asyncio.ensure_future(_disconnect(request))
    try:
        await asyncio.wait([made, gone], return_when=asyncio.FIRST_COMPLETED)
        if not made.done():
            raise ClientDisconnect
        return await made
    finally:
        gone.cancel()
        made.cancel()
        await asyncio.gather(made, gone, return_exceptions=True)


async def _disconnect(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
