"""Reading and parsing request bodies within their limits."""

import asyncio
from collections.abc import Callable, Iterable
from typing import TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError

from api.chat.parts.unusable import first_error
from api.http.bodies.json_text import repair, to_utf8
from shared.chat.media_types import declared_charset
from shared.errors import InvalidRequest, TooLarge
from shared.settings import LimitSettings

#: Counted in the raw body before parsing, which would stall all streams for millions of them.
_MAX_BRACKETS = 200_000
#: Larger bodies are parsed in a thread, so that other streams continue meanwhile.
_LARGE_BYTES = 65_536
_BODY_SECONDS = 30

_ModelT = TypeVar("_ModelT", bound=BaseModel)


async def read_body(
    model: type[_ModelT],
    request: Request,
    limits: LimitSettings,
    *checks: Callable[[_ModelT, LimitSettings], None],
) -> _ModelT:
    """Read the body, parse it as a model and apply the checks.

    Raises:
        TooLarge: if a limit is exceeded; the rest of the body is not read.
        InvalidRequest: for the first invalid field, with its path and the expected value.
    """
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            body = await _read_bytes(request, limits.body_bytes)
    except TimeoutError:
        raise InvalidRequest(f"The body did not arrive within {_BODY_SECONDS} seconds.") from None
    body = to_utf8(body, declared_charset(request.headers.get("content-type", "")))
    if body.count(b"{") + body.count(b"[") > _MAX_BRACKETS:
        raise TooLarge(f"The body contains more than {_MAX_BRACKETS:,} objects and lists.")
    if len(body) < _LARGE_BYTES:
        return _parse(model, body, limits, checks)
    return await asyncio.to_thread(_parse, model, body, limits, checks)


async def _read_bytes(request: Request, limit: int) -> bytes:
    too_large = TooLarge(f"The body is larger than {limit:,} bytes.")
    if int(request.headers.get("content-length", "0") or 0) > limit:
        raise too_large
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise too_large
        chunks.append(chunk)
    return b"".join(chunks)


def _parse(
    model: type[_ModelT],
    body: bytes,
    limits: LimitSettings,
    checks: Iterable[Callable[[_ModelT, LimitSettings], None]],
) -> _ModelT:
    try:
        parsed = _validate(model, body, limits)
    except ValidationError as error:
        raise _request_error(error) from None
    for check in checks:
        check(parsed, limits)
    return parsed


def _validate(model: type[_ModelT], body: bytes, limits: LimitSettings) -> _ModelT:
    """Validate a body. Invalid JSON is repaired if possible."""
    try:
        return model.model_validate_json(body, context=limits)
    except ValidationError as error:
        if not _is_invalid_json(error) or (repaired := repair(body)) == body:
            raise
    return model.model_validate_json(repaired, context=limits)


def _is_invalid_json(error: ValidationError) -> bool:
    return first_error(error)[0] == "json_invalid"


def _request_error(error: ValidationError) -> InvalidRequest:
    kind, message, field = first_error(error)
    if kind == "json_invalid":
        return InvalidRequest(f"The body is not valid JSON. {message}")
    if field == "messages" and kind == "missing":
        return InvalidRequest(
            "messages: Field required. Send the whole history, with the newest message last:"
            " the server does not store it.",
            field=field,
        )
    refusal = TooLarge if kind == "too_large" else InvalidRequest
    return refusal(f"{field or 'body'}: {message}", field=field or None)
