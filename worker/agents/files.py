"""Downloads the files that a conversation references by URL, once per attempt.

The worker downloads them because a model server may be in a network that users must not reach.
"""

import asyncio
from dataclasses import replace

import structlog
from pydantic_ai._ssrf import safe_download
from pydantic_ai._utils import is_text_like_media_type
from pydantic_ai.exceptions import UserError
from pydantic_ai.messages import (
    BinaryContent,
    FileUrl,
    ModelMessage,
    ModelRequest,
    UserContent,
    UserPromptPart,
)

from shared.chat.media_types import (
    TEXT,
    UNKNOWN,
    WrongMediaType,
    declared_charset,
    detect_media_type,
    is_text,
)
from shared.errors import FileTimeout
from shared.text_decoding import decode_text
from worker.models.chat.older_files import user_contents
from worker.models.run_failures import failure_of

log = structlog.stdlib.get_logger()

#: Limit for one file in total, so that a server cannot stall it by sending a byte at a time.
_FILE_SECONDS = 20
#: Limit for all files of a conversation.
_TOTAL_SECONDS = 60
#: Concurrent downloads of one conversation.
_CONCURRENT_DOWNLOADS = 4
#: All files of a conversation together may have this many times the size limit of one file. URLs
#: cost their sender nothing, but their content occupies the worker's memory.
_TOTAL_SIZE_FACTOR = 10


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
        media_type = media_type if is_text_like_media_type(media_type) else TEXT
    return BinaryContent(content, media_type=media_type, identifier=name)


async def download_files(messages: list[ModelMessage], max_bytes: int) -> list[ModelMessage]:
    """Replace each file URL in the messages with the file's content.

    In all messages but the last, a file that cannot be used is replaced with a note: URLs expire,
    also while an answer waits for an approval.

    Raises:
        FileTimeout: if the files of the last message take too long.
        Exception: from pydantic-ai's `_ssrf` if a URL of the last message is private or
            unreachable, or its content is too large.
    """
    download = _Download(max_bytes)
    # Of the tasks that wait for a slot, the first one continues first.
    tasks = [
        asyncio.create_task(download.resolve(message, older=index > 0))
        for index, message in enumerate(reversed(messages))
    ]
    try:
        return list(reversed(await asyncio.gather(*tasks)))
    except TimeoutError:
        raise FileTimeout from None
    finally:
        for task in tasks:  # if one download fails, the others are not needed
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Download:
    """The downloads of one conversation, within common limits."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._remaining_bytes = _TOTAL_SIZE_FACTOR * max_bytes
        self._slots = asyncio.Semaphore(_CONCURRENT_DOWNLOADS)
        self._deadline = asyncio.get_running_loop().time() + _TOTAL_SECONDS

    async def resolve(self, message: ModelMessage, *, older: bool) -> ModelMessage:
        if not isinstance(message, ModelRequest) or not _has_file_urls(message):
            return message
        parts = [
            replace(part, content=[await self._content(item, older=older) for item in part.content])
            if isinstance(part, UserPromptPart)
            else part
            for part in message.parts
        ]
        return replace(message, parts=parts)

    async def _content(self, item: UserContent, *, older: bool) -> UserContent:
        if not isinstance(item, FileUrl):
            return item
        try:
            async with self._slots:
                if older and self._exhausted:
                    return left_out_note(item)
                return await self._fetch(item)
        except Exception as error:
            if not older:
                raise
            failure = failure_of(error)
            log.info(
                "file.left_out",
                message="A file of an older message was left out",
                code=failure.code,
                error=type(error).__name__,
                **failure.upstream_fields,
            )
            return left_out_note(item)

    @property
    def _exhausted(self) -> bool:
        late = asyncio.get_running_loop().time() >= self._deadline
        return late or self._remaining_bytes <= 0

    async def _fetch(self, item: FileUrl) -> BinaryContent:
        now = asyncio.get_running_loop().time()
        limit = max(0, min(self._max_bytes, self._remaining_bytes))
        async with asyncio.timeout_at(min(now + _FILE_SECONDS, self._deadline)):
            response = await safe_download(item.url, timeout=_FILE_SECONDS, max_bytes=limit)
        self._remaining_bytes -= len(response.content)
        received = response.headers.get("content-type", "")
        media_type = received if item.media_type == UNKNOWN else item.media_type
        charset = declared_charset(received)
        return binary_content(response.content, media_type, item.identifier, charset)


def left_out_note(item: FileUrl | BinaryContent) -> str:
    """Return the text for the model that stands for a file of an older message."""
    return f"[Left out of this message: a file of type {item.media_type} that is not available.]"


def _has_file_urls(message: ModelRequest) -> bool:
    return any(isinstance(content, FileUrl) for content in user_contents([message]))
