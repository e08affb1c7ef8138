"""Stored deltas are merged without changing what a client builds from them."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.streams.delta_merging import parse_merged
from shared.streams.event_stream import Entry, parse_entries
from shared.streams.events import (
    DONE,
    Data,
    Event,
    ReasoningDelta,
    StreamEvent,
    TextDelta,
    ToolInputDelta,
    decode,
    merge_deltas,
)
from shared.streams.ui_message import UIMessageBuilder
from tests.support.fakes.events import any_event, endings, entries_of

_ids = st.sampled_from(["a", "b", 'quoted "id"', "\\", "é", ""])
_texts = st.text(max_size=4) | st.sampled_from(
    ['"}', '\\"}\n1-2 {"', "\x00\x85\u2028", "🐍", "\\u"]
)
_deltas = st.one_of(
    st.builds(TextDelta, id=_ids, delta=_texts),
    st.builds(ReasoningDelta, id=_ids, delta=_texts),
    st.builds(ToolInputDelta, tool_call_id=_ids, input_text_delta=_texts),
)


def lines_of(entries: Sequence[Entry]) -> bytes:
    return b"\n".join(b"%d-%d %b" % (e.attempt, e.offset, e.data) for e in entries)


def log_of(*data: bytes) -> list[Entry]:
    return [Entry(1, offset, line) for offset, line in enumerate(data, start=1)]


def folded(entries: Sequence[Entry]) -> list[StreamEvent]:
    """Return the events, with all successive deltas of one part merged."""
    events: list[StreamEvent] = []
    for event in (decode(entry.data) for entry in entries if not entry.is_last):
        if events and (merged := merge_deltas(events[-1], event)):
            events[-1] = merged
        else:
            events.append(event)
    return events


def message(entries: Sequence[Entry]) -> dict[str, Any]:
    builder = UIMessageBuilder("m")
    builder.add(entries)
    return builder.build()


@given(
    st.lists(_deltas | any_event, max_size=20),
    endings,
    st.lists(st.integers(1, 3), min_size=30, max_size=30),
    st.data(),
)
def test_merged_entries_fold_to_the_same_events(
    events: list[Event], ending: list[Event], attempts: list[int], data: st.DataObject
) -> None:
    stored = entries_of(*events, *ending)
    log = [entry._replace(attempt=a) for entry, a in zip(stored, sorted(attempts), strict=False)]
    cut = data.draw(st.integers(0, len(log)))

    merged = parse_merged(lines_of(log[cut:]))

    assert folded(merged) == folded(log[cut:])
    assert message(log[:cut] + merged) == message(log)
    cursors = {entry.cursor for entry in log}
    next_offset = cut + 1
    for entry in merged:
        assert entry.cursor in cursors
        assert entry.offset - entry.merged_count == next_offset
        next_offset = entry.offset + 1
    assert next_offset == len(log) + 1


@given(st.lists(_deltas | any_event, max_size=10))
def test_lines_are_parsed_unchanged(events: list[Event]) -> None:
    log = entries_of(*events)

    assert parse_entries(lines_of(log)) == log


def test_deltas_of_one_part_become_one_entry() -> None:
    words = [TextDelta(id="t", delta=f"w{n} ").encode() for n in range(2000)]

    assert parse_merged(lines_of(log_of(*words))) == [
        Entry(
            1,
            2000,
            TextDelta(id="t", delta="".join(f"w{n} " for n in range(2000))).encode(),
            merged_count=1999,
        )
    ]


def test_merged_entry_has_the_cursor_of_its_last_delta() -> None:
    delta = TextDelta(id="t", delta="x").encode()

    merged = parse_merged(lines_of([Entry(1, 7, delta), Entry(2, 8, delta), Entry(4, 9, DONE)]))

    assert merged == [
        Entry(2, 8, TextDelta(id="t", delta="xx").encode(), merged_count=1),
        Entry(4, 9, DONE),
    ]


_DELTA = TextDelta(id="t", delta="x").encode()


@pytest.mark.parametrize(
    "other",
    [
        b'{"type":"text-delta","id":"t","delta":"x","providerMetadata":{"a":{"b":"c"}}}',
        b'{"type":"text-delta","id":"t","delta":"x","new":"field"}',
        b'{"type": "text-delta", "id": "t", "delta": "x"}',
        b'{"id":"t","type":"text-delta","delta":"x"}',
        b'{"type":"text-delta","id":"t","delta":"\\ud83d"}',
        b'{"type":"text-delta","id":"u","delta":"x"}',
        b'{"type":"reasoning-delta","id":"t","delta":"x"}',
        b'{"type":"text-delta","id":"t"}',
        Data(type="data-x", data=json.loads(_DELTA)).encode(),
        b"",
    ],
)
def test_other_lines_are_not_merged(other: bytes) -> None:
    log = log_of(_DELTA, other, _DELTA)

    assert parse_merged(lines_of(log)) == log


def test_deltas_around_missing_entries_are_not_merged() -> None:
    log = [Entry(1, 1, _DELTA), Entry(1, 2, _DELTA), Entry(1, 4, _DELTA)]

    assert parse_merged(lines_of(log)) == log
