"""The `Idempotency-Key` header (draft-ietf-httpapi-idempotency-key-header).

The value is compared as sent, with or without quotation marks.
"""

import re
from typing import Annotated

from fastapi import Depends, Header
from pydantic import WithJsonSchema

from shared.errors import InvalidRequest

_MAX_CHARS = 255
_EXAMPLE = "8e03978e-40d5-43dd-bc93-6894a57f9324"
_PATTERN = rf"^[\x20-\x7e]{{1,{_MAX_CHARS}}}$"
_KEY = re.compile(_PATTERN)


async def read_idempotency_key(
    idempotency_key: Annotated[
        str | None,
        Header(
            description="A unique value for this request, preferably a UUID. A repeated request "
            "with the same key and body returns the same run instead of starting a new one.",
        ),
        WithJsonSchema({"type": "string", "pattern": _PATTERN, "examples": [_EXAMPLE]}),
    ] = None,
) -> str | None:
    if idempotency_key is None:
        return None
    if not _KEY.fullmatch(idempotency_key):
        raise InvalidRequest(
            f"Idempotency-Key: Send 1 to {_MAX_CHARS} printable ASCII characters, such as a UUID.",
            field="Idempotency-Key",
        )
    return idempotency_key


IdempotencyKey = Annotated[str | None, Depends(read_idempotency_key)]
