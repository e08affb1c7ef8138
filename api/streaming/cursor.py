"""The cursor that a client sends as `Last-Event-ID` to continue a stream."""

import re
from typing import Annotated, NamedTuple

from fastapi import Header
from pydantic import WithJsonSchema

from shared.errors import InvalidRequest
from shared.streams.event_stream import Cursor

_CURSOR = re.compile(
    r"(?P<attempt>\d{1,9})-(?P<offset>\d{1,9})"
    r"(?:@(?P<run>[\w-]{1,64})(?:/(?P<source>[\w-]{1,64}))?)?",
    re.ASCII,
)
#: The same for JSON Schema, which has no named groups.
_SCHEMA_PATTERN = r"^[0-9]{1,9}-[0-9]{1,9}(@[A-Za-z0-9_-]{1,64}(/[A-Za-z0-9_-]{1,64})?)?$"

LastEventId = Annotated[
    str | None,
    Header(description="The `id:` of the last event received"),
    WithJsonSchema({"type": "string", "pattern": _SCHEMA_PATTERN, "examples": ["1-57@9f3kq0Zr7"]}),
]


class ClientCursor(NamedTuple):
    """A cursor, and the id of the followed run, if the client sent it."""

    cursor: Cursor
    run_id: str | None
    #: The run that wrote the event, if the event belongs to a message replay.
    source: str | None = None


def parse_cursor(text: str) -> ClientCursor | None:
    """Parse `<attempt>-<offset>[@<run>[/<source>]]`; return None if the text has another form."""
    match = _CURSOR.fullmatch(text.strip())
    if match is None:
        return None
    cursor = Cursor(int(match["attempt"]), int(match["offset"]))
    return ClientCursor(cursor, match["run"], match["source"])


def read_last_event_id(header: str | None) -> ClientCursor | None:
    """Return the cursor in a `Last-Event-ID` header; None if it is missing or empty.

    Raises:
        InvalidRequest: if it is not a cursor of this server.
    """
    if header is None or not header.strip():
        return None
    cursor = parse_cursor(header)
    if cursor is None:
        raise InvalidRequest(
            "Last-Event-ID: Invalid cursor. Send the `id:` of an event exactly as received.",
            field="Last-Event-ID",
        )
    return cursor
