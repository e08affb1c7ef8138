"""The encoding of entries as server-sent events.

Each event carries `id: <attempt>-<offset>@<run>`, the cursor with which a client continues.
Heartbeats are comments, because the AI SDK throws on unknown events.
"""

from collections.abc import Iterable

from shared.streams.event_stream import Entry

STREAM_OPEN = b": stream-open\n\n"
HEARTBEAT = b": keep-alive\n\n"


def encode_sse(entries: Iterable[Entry], run_id: bytes) -> bytes:
    """Encode entries as events whose ids are cursors."""
    return b"".join(
        b"id: %d-%d@%b\ndata: %b\n\n" % (entry.attempt, entry.offset, run_id, entry.data)
        for entry in entries
    )


def encode_data(data: bytes) -> bytes:
    """Encode an event without an id: the client's cursor does not move."""
    return b"data: %b\n\n" % data


def encode_retry(milliseconds: int) -> bytes:
    """Encode the delay after which the client should reconnect."""
    return b"retry: %d\n\n" % milliseconds
