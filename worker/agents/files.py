"""Downloads the files that a conversation references by URL, once per attempt.

The worker downloads them because a model server may be in a network that users must not reach.
"""

import asyncio
from dataclasses import replace

from pydantic_ai._ssrf import safe_download
from pydantic_ai.exceptions import UserError
from pydantic_ai.messages import BinaryContent, FileUrl, ModelMessage, ModelRequest, UserPromptPart

from shared.chat.media_types import (
    UNKNOWN,
    WrongMediaType,
    declared_charset,
    detect_media_type,
    is_text,
)
from shared.chat.text_decoding import decode_text
from shared.errors import FileTimeout

#: Limit for one file in total, so that a server cannot stall it by sending a byte at a time.
_FILE_SECONDS = 20
#: Limit for all files of a conversation.
_TOTAL_SECONDS = 60
#: Concurrent downloads of one conversation.
_CONCURRENT_DOWNLOADS = 4
#: All files of a conversation together may be this many times the size limit of one file. URLs cost
#: their sender nothing, but their content occupies the worker's memory.
_MAX_TOTAL_FILES = 10


def binary_content(
    content: bytes, declared_type: str, name: str | None, charset: str | None = None
) -> BinaryContent:
    """Convert a file for the model. The content decides the media type; texts become UTF-8.

    `charset` is used if the declared type does not contain one.

    Raises:
        UserError: if the content does not match the declared media type.
    """
    try:
        media_type = detect_media_type(declared_type, content)
    except WrongMediaType as error:
        raise UserError(str(error)) from None
    if is_text(media_type):
        content = decode_text(content, declared_charset(declared_type) or charset).encode()
    return BinaryContent(content, media_type=media_type, identifier=name)


async def download_files(messages: list[ModelMessage], max_bytes: int) -> list[ModelMessage]:
    """Replace each file URL in the messages with the file's content.

    Raises:
        FileTimeout: if one file, or all of them together, take too long.
        Exception: from pydantic-ai's `_ssrf` if a URL is private or unreachable, or the content is
            too large.
    """
    try:
        async with asyncio.timeout(_TOTAL_SECONDS):
            return await _download_all(messages, max_bytes)
    except TimeoutError:
        raise FileTimeout from None


async def _download_all(messages: list[ModelMessage], max_bytes: int) -> list[ModelMessage]:
    slots = asyncio.Semaphore(_CONCURRENT_DOWNLOADS)
    remaining_bytes = _MAX_TOTAL_FILES * max_bytes

    async def download(message: ModelMessage) -> ModelMessage:
        if not isinstance(message, ModelRequest) or not _has_file_urls(message):
            return message
        parts = [
            replace(part, content=[await resolve(item) for item in part.content])
            if isinstance(part, UserPromptPart)
            else part
            for part in message.parts
        ]
        return replace(message, parts=parts)

    async def resolve(item: object) -> object:
        nonlocal remaining_bytes
        if not isinstance(item, FileUrl):
            return item
        async with slots:
            limit = max(0, min(max_bytes, remaining_bytes))
            async with asyncio.timeout(_FILE_SECONDS):
                response = await safe_download(item.url, timeout=_FILE_SECONDS, max_bytes=limit)
        remaining_bytes -= len(response.content)
        received = response.headers.get("content-type", "")
        media_type = received if item.media_type == UNKNOWN else item.media_type
        return binary_content(
            response.content, media_type, item.identifier, declared_charset(received)
        )

    tasks = [asyncio.create_task(download(message)) for message in messages]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:  # if one download fails, the others are not needed
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _has_file_urls(message: ModelRequest) -> bool:
    return any(
        isinstance(item, FileUrl)
        for part in message.parts
        if isinstance(part, UserPromptPart) and not isinstance(part.content, str)
        for item in part.content
    )
