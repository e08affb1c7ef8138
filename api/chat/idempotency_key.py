"""The key of a request that may come again (draft-ietf-httpapi-idempotency-key-header).

A key is the client's own text, taken as it comes: with quotation marks or without.
"""

import re
from typing import Annotated

from fastapi import Depends, Header
from pydantic import WithJsonSchema

from shared.errors import InvalidRequest

_LONGEST = 255
_EXAMPLE = "8e03978e-40d5-43dd-bc93-6894a57f9324"
_PATTERN = rf"^[\x20-\x7e]{{1,{_LONGEST}}}$"
_KEY = re.compile(_PATTERN)


def read_idempotency_key(
    idempotency_key: Annotated[
        str | None,
        Header(
            description="A text of your own for this one request, best a UUID. Sent again with the "
            "same body it leads to the same answer; nothing is asked for twice.",
        ),
        WithJsonSchema({"type": "string", "pattern": _PATTERN, "examples": [_EXAMPLE]}),
    ] = None,
) -> str | None:
    if idempotency_key is None:
        return None
    if not _KEY.fullmatch(idempotency_key):
        raise InvalidRequest(
            f"Idempotency-Key: Send 1 to {_LONGEST} printable ASCII characters, best a UUID.",
            field="Idempotency-Key",
        )
    return idempotency_key


IdempotencyKey = Annotated[str | None, Depends(read_idempotency_key)]
