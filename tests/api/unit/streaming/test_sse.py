"""Cursors, and the encoding of entries as server-sent events."""

import pytest

from api.streaming.cursor import ClientCursor, parse_cursor
from api.streaming.sse import encode_sse
from shared.streams.event_stream import Cursor, Entry


@pytest.mark.parametrize(
    ("text", "cursor"),
    [
        ("1-57", ClientCursor(Cursor(1, 57), None)),
        ("1-57@9f3k_q-0Z", ClientCursor(Cursor(1, 57), "9f3k_q-0Z")),
        ("0-0@run/earlier", ClientCursor(Cursor(0, 0), "run", "earlier")),
        ("  2-0@run ", ClientCursor(Cursor(2, 0), "run")),
        ("001-002@r", ClientCursor(Cursor(1, 2), "r")),
        ("999999999-999999999", ClientCursor(Cursor(999_999_999, 999_999_999), None)),
    ],
)
def test_valid_cursor_is_parsed(text: str, cursor: ClientCursor) -> None:
    assert parse_cursor(text) == cursor


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "1-",
        "-1",
        "1-1-1",
        "a-b",
        "1-1@",
        "1-1@a b",
        "1-1@a/",
        "1-1@/b",
        "1-1@a/b/c",
        "1-1@é",
        "1-1@" + "a" * 65,
        "1234567890-1",
        "1-1234567890",
        "¹-1",
        "١-١",
        "1-1\n2-2",
        "1 - 1",
        "+1-1",
        "0x1-1",
        "1.0-1",
    ],
)
def test_invalid_cursor_is_none(text: str) -> None:
    assert parse_cursor(text) is None


def test_event_ids_are_cursors() -> None:
    entries = [Entry(1, 7, b'{"type":"start-step"}'), Entry(2, 8, b"[DONE]")]

    encoded = encode_sse(entries, b"run")

    assert encoded == (b'id: 1-7@run\ndata: {"type":"start-step"}\n\nid: 2-8@run\ndata: [DONE]\n\n')
    ids = [line[4:] for line in encoded.decode().splitlines() if line.startswith("id: ")]
    assert [parse_cursor(text) for text in ids] == [
        ClientCursor(entry.cursor, "run") for entry in entries
    ]


def test_merged_event_is_encoded_with_its_first_offset() -> None:
    assert encode_sse([Entry(1, 9, b"{}", merged_count=2)], b"run") == (
        b": from 7\nid: 1-9@run\ndata: {}\n\n"
    )


def test_no_entries_encode_to_empty_bytes() -> None:
    assert encode_sse([], b"run") == b""
