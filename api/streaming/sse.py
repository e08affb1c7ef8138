"""The encoding of entries as server-sent events.

Each event carries `id: <attempt>-<offset>@<run>`, the cursor with which a client continues. In a
message replay it is `<attempt>-<offset>@<run>/<source>`: the run that the client follows, and the
one that wrote the event. An event into which earlier ones were merged has the id of the last one,
and the comment `: from <offset>` with the offset of the first one.
Heartbeats are comments, because the AI SDK throws on unknown events.
"""

from collections.abc import Iterable

from shared.streams.event_stream import Entry

STREAM_OPEN = b": stream-open\n\n"
HEARTBEAT = b": keep-alive\n\n"


def encode_sse(entries: Iterable[Entry], suffix: bytes) -> bytes:
    """Encode entries as events whose ids are cursors. `suffix` follows `@`."""
    return b"".join(
        b"%bid: %d-%d@%b\ndata: %b\n\n" % (_range(entry), *entry[:2], suffix, entry.data)
        for entry in entries
    )


def _range(entry: Entry) -> bytes:
    return b": from %d\n" % (entry.offset - entry.merged_count) if entry.merged_count else b""


def id_suffix(run_id: str, source: str | None = None) -> bytes:
    """Return the part of an id that follows `@`. `source` is given in a message replay."""
    return (f"{run_id}/{source}" if source else run_id).encode()


def encode_data(data: bytes) -> bytes:
    """Encode an event without an id: the client's cursor does not move."""
    return b"data: %b\n\n" % data


def encode_retry(milliseconds: int) -> bytes:
    """Encode the delay after which the client should reconnect."""
    return b"retry: %d\n\n" % milliseconds
