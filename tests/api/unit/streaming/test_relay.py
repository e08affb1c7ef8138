"""A relay sends a stream from every cursor in every stream format."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.http.draining import Draining
from api.streaming.cursor import ClientCursor, parse_cursor
from api.streaming.message_replay import without_execution
from api.streaming.relay import RelayContext, RelayResponse
from api.streaming.sse import encode_sse
from api.streaming.stream_format import BASIC, STREAM_FORMATS, UI_MESSAGE, StreamFormat
from api.streaming.stream_view import StreamView
from shared.streams.event_stream import START, Cursor, Entry
from shared.streams.events import (
    DONE,
    Event,
    Finish,
    ReasoningDelta,
    Start,
    StartStep,
    TextDelta,
    ToolOutputAvailable,
)
from shared.streams.follow import FollowerFactory
from tests.support.fakes.events import CALL, any_event, endings, entries_of
from tests.support.fakes.memory_stream import MemoryEventStream
from tests.support.fakes.runs import new_run
from tests.support.fakes.subscriber import SilentSubscriber
from tests.support.sse_client import Json, joined

OPEN = b": stream-open\n\n"


class RelayHarness:
    """One run, relayed without a server."""

    def __init__(self, entries: Sequence[Entry], *, heartbeat_seconds: float = 60) -> None:
        self.stream = MemoryEventStream()
        self.stream.entries["run"] = list(entries)
        self._heartbeat_seconds = heartbeat_seconds
        self.checked = False

    def response(
        self, stream_format: StreamFormat, after: Cursor = START, **earlier: Any
    ) -> RelayResponse:
        context = RelayContext(
            FollowerFactory(self.stream, SilentSubscriber(), max_bytes=1_000_000),
            Draining(delay_seconds=0),
            reap_or_wait=self._reap_or_wait,
            heartbeat_seconds=self._heartbeat_seconds,
        )
        return RelayResponse(context, new_run("run"), StreamView(stream_format, after, **earlier))

    async def body(
        self, stream_format: StreamFormat, after: Cursor = START, **earlier: Any
    ) -> bytes:
        """Return everything that is sent after the opening comment."""
        pieces: list[bytes] = []

        async def receive() -> dict[str, Any]:
            return await asyncio.get_running_loop().create_future()

        async def send(message: Any) -> None:
            pieces.append(message.get("body", b""))

        await self.response(stream_format, after, **earlier)({"type": "http"}, receive, send)
        assert pieces[:2] == [b"", OPEN]
        return b"".join(pieces[2:])

    async def _reap_or_wait(self, run_id: str, _: Cursor) -> bool:
        self.checked = True
        return run_id != "run"


def blocks(body: bytes) -> list[bytes]:
    assert body.endswith(b"\n\n")
    return body[:-2].split(b"\n\n")


def cursor_of(block: bytes) -> ClientCursor:
    [line] = [line for line in block.split(b"\n") if line.startswith(b"id: ")]
    cursor = parse_cursor(line.removeprefix(b"id: ").decode())
    assert cursor is not None
    return cursor


def offset(block: bytes) -> int:
    return cursor_of(block).cursor.offset


@given(st.lists(any_event, max_size=12), endings)
async def test_stream_resumes_from_every_cursor(events: list[Event], ending: list[Event]) -> None:
    stored = entries_of(*events, *ending)
    entries = [Entry(1 + 2 * at // 9, *entry[1:]) for at, entry in enumerate(stored)]
    relay = RelayHarness(entries)
    for stream_format in STREAM_FORMATS:
        whole = blocks(await relay.body(stream_format))
        for entry in entries[:-1]:
            rest = blocks(await relay.body(stream_format, entry.cursor))
            assert rest == [block for block in whole if offset(block) > entry.offset]


@given(st.lists(any_event, max_size=12), endings)
async def test_merged_stream_resumes_from_every_cursor(
    events: list[Event], ending: list[Event]
) -> None:
    entries = entries_of(*events, *ending)
    relay = RelayHarness(entries)
    for stream_format in STREAM_FORMATS:
        whole = blocks(await relay.body(stream_format))
        for entry in [Entry(0, 0, b""), *entries[:-1]]:
            rest = blocks(await relay.body(stream_format, entry.cursor, merged=True))
            assert folded(rest) == folded([b for b in whole if offset(b) > entry.offset])
            assert set(map(cursor_of, rest)) <= set(map(cursor_of, whole))


def folded(events: list[bytes]) -> list[Json]:
    """Return the chunks, with successive deltas of one part merged."""
    lines = [block.partition(b"data: ")[2] for block in events]
    return joined([{} if line == DONE else json.loads(line) for line in lines])


async def test_merged_events_name_their_first_offset() -> None:
    deltas = [TextDelta(id="t", delta=word) for word in ("a", "b", "c")]
    relay = RelayHarness(entries_of(Start(message_id="m"), *deltas, Finish()))

    body = await relay.body(UI_MESSAGE, Cursor(1, 2), merged=True)

    assert body.startswith(
        b': from 3\nid: 1-4@run\ndata: {"type":"text-delta","id":"t","delta":"bc"}\n\nid: 1-5@run\n'
    )


async def test_client_that_counts_events_receives_each_one() -> None:
    entries = entries_of(*[TextDelta(id="t", delta="x")] * 5, Finish())

    body = await RelayHarness(entries).body(UI_MESSAGE, merged=True, skipped=2)

    assert body == encode_sse(entries[2:], b"run")


async def test_parts_of_earlier_runs_are_merged() -> None:
    relay = RelayHarness(CONTINUED)
    relay.stream.entries["one"] = list(EARLIER)

    body = await relay.body(UI_MESSAGE, earlier_runs=("one",), rebuild=True, merged=True)

    whole = blocks(await relay.body(UI_MESSAGE, earlier_runs=("one",), rebuild=True))
    assert folded(blocks(body)) == folded(whole)
    assert body.count(b'"text-delta"') < 10


async def test_converted_stream_longer_than_a_page_resumes() -> None:
    entries = entries_of(CALL, *[TextDelta(id="t", delta="x")] * 2500, Finish(finish_reason="stop"))

    rest = blocks(await RelayHarness(entries).body(BASIC, Cursor(1, 2400)))

    assert [offset(block) for block in rest] == list(range(2401, 2504))


async def test_ui_message_format_sends_stored_bytes() -> None:
    entries = [Entry(1, 1, b'{"any":"bytes"}'), Entry(1, 2, b"\xff"), Entry(2, 3, DONE)]

    assert await RelayHarness(entries).body(UI_MESSAGE) == encode_sse(entries, b"run")


EARLIER = entries_of(CALL, *[TextDelta(id="t", delta="x" * 500)] * 300, Finish())
RESULT = ToolOutputAvailable(tool_call_id=CALL.tool_call_id, output=1)
CONTINUED = entries_of(Start(message_id="m"), RESULT, Finish(finish_reason="stop"))


@pytest.mark.parametrize("stream_format", STREAM_FORMATS, ids=lambda known: known.profile)
async def test_parts_of_earlier_runs_follow_the_start(stream_format: StreamFormat) -> None:
    relay = RelayHarness(CONTINUED)
    relay.stream.entries |= {"one": list(EARLIER), "two": list(EARLIER)}

    whole = await relay.body(stream_format, earlier_runs=("one", "two"), rebuild=True)

    view = StreamView(stream_format)
    start, *rest = CONTINUED
    parts = EARLIER[:-2]
    parts = view.convert(parts) if stream_format.converter else without_execution(parts)
    expected = [
        encode_sse(view.convert([start]), b"run/run"),
        encode_sse(parts, b"run/one"),
        encode_sse(parts, b"run/two"),
        encode_sse(view.convert(rest), b"run"),
    ]
    assert whole == b"".join(expected)


@given(
    st.lists(st.lists(any_event, max_size=6), min_size=1, max_size=3),
    st.lists(any_event, max_size=6),
    endings,
)
async def test_message_replay_resumes_from_every_cursor(
    earlier: list[list[Event]], events: list[Event], ending: list[Event]
) -> None:
    relay = RelayHarness(entries_of(Start(message_id="m"), *events, *ending))
    runs = tuple(map(str, range(len(earlier))))
    for run_id, parts in zip(runs, earlier, strict=True):
        relay.stream.entries[run_id] = entries_of(Start(message_id="m"), *parts, Finish())
    for stream_format in STREAM_FORMATS:
        whole = blocks(await relay.body(stream_format, earlier_runs=runs, rebuild=True))
        assert len(set(map(cursor_of, whole))) == len(whole)
        for at, block in enumerate(whole[:-1], start=1):
            cursor = cursor_of(block)
            rebuild = cursor.source is not None
            rest = await relay.body(
                stream_format,
                cursor.cursor,
                earlier_runs=runs if rebuild or stream_format.converter else (),
                rebuild=rebuild,
                source=cursor.source,
            )
            assert blocks(rest) == whole[at:]


@pytest.mark.parametrize("stream_format", STREAM_FORMATS, ids=lambda known: known.profile)
async def test_truncated_replay_resumes_from_every_cursor(stream_format: StreamFormat) -> None:
    continued = [
        CONTINUED[0].data,
        RESULT.encode(),
        StartStep().encode(),
        *(e.data for e in EARLIER),
    ]
    relay = RelayHarness([Entry(1, at, data) for at, data in enumerate(continued, start=1)])
    whole = blocks(await relay.body(stream_format, earlier_runs=None, rebuild=True))

    assert b"tool-output" not in b"".join(whole)
    for at, block in enumerate(whole[:-1], start=1):
        cursor = cursor_of(block)
        rest = await relay.body(
            stream_format,
            cursor.cursor,
            earlier_runs=None,
            rebuild=cursor.source is not None,
            source=cursor.source,
        )
        assert blocks(rest) == whole[at:]


async def test_converter_uses_earlier_runs_that_are_not_replayed() -> None:
    relay = RelayHarness(CONTINUED)
    relay.stream.entries["one"] = list(EARLIER)

    rest = blocks(await relay.body(BASIC, Cursor(1, 1), earlier_runs=("one",)))

    assert [offset(block) for block in rest] == [2, 3, 4]
    assert b'"type":"tool-result"' in rest[0]


async def test_earlier_run_that_expires_meanwhile_ends_as_lost() -> None:
    body = await RelayHarness(CONTINUED).body(UI_MESSAGE, earlier_runs=("gone",), rebuild=True)

    assert body.startswith(encode_sse(CONTINUED[:1], b"run/run"))
    assert b'"code":"lost"' in body
    assert body.endswith(b"data: [DONE]\n\n")


async def test_replay_is_sent_in_small_pieces() -> None:
    large = entries_of(Start(message_id="m"), TextDelta(id="t", delta="x" * 1_000_000), Finish())
    relay = RelayHarness(large)
    relay.stream.entries |= {str(run): list(EARLIER) for run in range(5)}
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> dict[str, Any]:
        return await asyncio.get_running_loop().create_future()

    response = relay.response(UI_MESSAGE, earlier_runs=("0", "1", "2", "3", "4"), rebuild=True)
    await response({"type": "http"}, receive, send)

    bodies = [message for message in sent if "body" in message]
    assert max(len(message["body"]) for message in bodies) <= 65_536
    assert sum(len(message["body"]) for message in bodies) > 1_700_000
    assert [message["more_body"] for message in bodies] == [*[True] * (len(bodies) - 1), False]


def test_headers_name_the_stream_format() -> None:
    ui, basic = (RelayHarness([]).response(known).headers for known in STREAM_FORMATS)

    assert ui["content-type"] == "text/event-stream; charset=utf-8"
    assert ui["x-vercel-ai-ui-message-stream"] == "v1"
    assert basic["content-type"] == "text/event-stream; profile=basic; charset=utf-8"
    assert "x-vercel-ai-ui-message-stream" not in basic
    assert ui["vary"] == basic["vary"] == "Accept"


@pytest.mark.parametrize("stream_format", STREAM_FORMATS, ids=lambda known: known.profile)
async def test_lost_run_ends_with_an_error(stream_format: StreamFormat) -> None:
    body = await RelayHarness([], heartbeat_seconds=0.001).body(stream_format)

    assert body.startswith(b": keep-alive\n\n")
    *_, error, end = blocks(body)
    assert b'"type":"error"' in error
    assert b"lost" in error
    assert end == b"data: [DONE]"


async def test_heartbeats_are_sent_while_the_format_has_no_events() -> None:
    relay = RelayHarness(
        entries_of(ReasoningDelta(id="r", delta="hm"))[:-1], heartbeat_seconds=0.001
    )

    assert (await relay.body(BASIC)).startswith(b": keep-alive\n\n")
    assert relay.checked
