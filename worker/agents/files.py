"""The files of a conversation that stand at an address: fetched by the worker, once an attempt.

No model's server fetches for us: it may stand in a network that the user must not reach through it.
"""

import asyncio
from dataclasses import replace

from pydantic_ai._ssrf import safe_download
from pydantic_ai.exceptions import UserError
from pydantic_ai.messages import BinaryContent, FileUrl, ModelMessage, ModelRequest, UserPromptPart

from shared.chat.media_types import UNKNOWN, WrongMediaType, as_utf8, is_text, media_type_of
from shared.errors import FileTimeout

#: For a file, its redirects and names included: a server that sends a byte at a time is slow too.
_SECONDS = 20
#: For all of a conversation's.
_SECONDS_IN_ALL = 60
#: Requests at once, of one conversation.
_TOGETHER = 4
#: A conversation's files may hold as much as so many of the largest: an address costs its sender
#: nothing, and its content is the worker's memory.
_LARGEST = 10


def binary(content: bytes, said: str, name: str | None) -> BinaryContent:
    """A file as a model gets it: by what it holds, texts as UTF-8.

    Raises:
        UserError: if it is not what it says.
    """
    try:
        media_type = media_type_of(said, content)
    except WrongMediaType as error:
        raise UserError(str(error)) from None
    content = as_utf8(content) if is_text(media_type) else content
    return BinaryContent(content, media_type=media_type, identifier=name)


async def with_files(messages: list[ModelMessage], max_bytes: int) -> list[ModelMessage]:
    """The messages with the content of each file in place of its address.

    Raises:
        FileTimeout: if one, or all together, take too long.
        Exception: of pydantic-ai's `_ssrf`: an address that is private, away or too large, or
            beyond what the files may hold together.
    """
    try:
        async with asyncio.timeout(_SECONDS_IN_ALL):
            return await _fetched(messages, max_bytes)
    except TimeoutError:
        raise FileTimeout from None


async def _fetched(messages: list[ModelMessage], max_bytes: int) -> list[ModelMessage]:
    fetching = asyncio.Semaphore(_TOGETHER)
    left = _LARGEST * max_bytes

    async def fetched(message: ModelMessage) -> ModelMessage:
        if not isinstance(message, ModelRequest) or not _has_addresses(message):
            return message
        parts = [
            replace(part, content=[await content(item) for item in part.content])
            if isinstance(part, UserPromptPart)
            else part
            for part in message.parts
        ]
        return replace(message, parts=parts)

    async def content(item: object) -> object:
        nonlocal left
        if not isinstance(item, FileUrl):
            return item
        async with fetching:
            most = max(0, min(max_bytes, left))
            async with asyncio.timeout(_SECONDS):
                response = await safe_download(item.url, timeout=_SECONDS, max_bytes=most)
        left -= len(response.content)
        said = item.media_type
        if said == UNKNOWN:
            said = response.headers.get("content-type", "")
        return binary(response.content, said, item.identifier)

    tasks = [asyncio.create_task(fetched(message)) for message in messages]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:  # one has failed, perhaps: nobody is asked for the others
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _has_addresses(message: ModelRequest) -> bool:
    return any(
        isinstance(item, FileUrl)
        for part in message.parts
        if isinstance(part, UserPromptPart) and not isinstance(part.content, str)
        for item in part.content
    )
