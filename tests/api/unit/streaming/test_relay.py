"""What a client is sent of a log, on each wire and from each place in it."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.http.draining import Draining
from api.streaming.sse import RelayResponse, encode_sse, parse_cursor
from api.streaming.stream_format import BASIC, STREAM_FORMATS, UI_MESSAGE, StreamFormat
from shared.streams.event_stream import START, Cursor, Entry
from shared.streams.events import DONE, Event, Finish, ReasoningDelta, TextDelta
from shared.streams.follow import Follower
from tests.api.unit.streaming.test_basic_format import CALL, any_event, endings, log_of
from tests.support.fakes.memory_stream import MemoryEventStream
from tests.support.fakes.subscriber import DeafSubscriber

OPEN = b": stream-open\n\n"


class Relay:
    """One run, relayed without a server."""

    def __init__(self, log: Sequence[Entry], *, heartbeat_seconds: float = 60) -> None:
        self.stream = MemoryEventStream()
        self.stream.logs["run"] = list(log)
        self._heartbeat_seconds = heartbeat_seconds
        self.settled = False

    def response(self, wire: StreamFormat, after: Cursor = START) -> RelayResponse:
        return RelayResponse(
            Follower(self.stream, DeafSubscriber(), max_bytes=1_000_000),
            Draining(delay_seconds=0),
            run_id="run",
            chat_id="chat",
            after=after,
            wire=wire,
            heartbeat_seconds=self._heartbeat_seconds,
            settle=self._settle,
        )

    async def body(self, wire: StreamFormat, after: Cursor = START) -> bytes:
        """All that is sent after the opening comment."""
        pieces: list[bytes] = []

        async def receive() -> dict[str, Any]:
            return await asyncio.get_running_loop().create_future()

        async def send(message: Any) -> None:
            pieces.append(message.get("body", b""))

        await self.response(wire, after)({"type": "http"}, receive, send)
        assert pieces[:2] == [b"", OPEN]
        return b"".join(pieces[2:])

    async def _settle(self, run_id: str, _: Cursor) -> bool:
        self.settled = True
        return run_id != "run"


def blocks(body: bytes) -> list[bytes]:
    assert body.endswith(b"\n\n")
    return body[:-2].split(b"\n\n")


def offset(block: bytes) -> int:
    cursor = parse_cursor(block.partition(b"\n")[0].removeprefix(b"id: ").decode())
    assert cursor is not None
    return cursor.cursor.offset


@given(st.lists(any_event, max_size=12), endings)
@settings(max_examples=60, deadline=None)
async def test_every_cut_and_the_rest_are_the_whole_on_each_wire(
    said: list[Event], ending: list[Event]
) -> None:
    log = [Entry(1 + 2 * at // 9, *entry[1:]) for at, entry in enumerate(log_of(*said, *ending))]
    relay = Relay(log)
    for wire in STREAM_FORMATS:
        whole = blocks(await relay.body(wire))
        for entry in log[:-1]:
            rest = blocks(await relay.body(wire, entry.cursor))
            assert rest == [block for block in whole if offset(block) > entry.offset]
            assert await relay.body(wire, Cursor(0, entry.offset)) == b"\n\n".join([*rest, b""])


async def test_a_log_longer_than_a_page_is_resumed_by_a_view_too() -> None:
    log = log_of(CALL, *[TextDelta(id="t", delta="x")] * 2500, Finish(finish_reason="stop"))

    rest = blocks(await Relay(log).body(BASIC, Cursor(1, 2400)))

    assert [offset(block) for block in rest] == list(range(2401, 2504))


async def test_the_ui_message_wire_is_the_log_as_it_is() -> None:
    log = [Entry(1, 1, b'{"any":"bytes"}'), Entry(1, 2, b"\xff"), Entry(2, 3, DONE)]

    assert await Relay(log).body(UI_MESSAGE) == encode_sse(log, b"run")


def test_each_wire_says_which_it_is() -> None:
    ui, basic = (Relay([]).response(wire).headers for wire in STREAM_FORMATS)

    assert ui["content-type"] == "text/event-stream; charset=utf-8"
    assert ui["x-vercel-ai-ui-message-stream"] == "v1"
    assert basic["content-type"] == "text/event-stream; profile=basic; charset=utf-8"
    assert "x-vercel-ai-ui-message-stream" not in basic
    assert ui["vary"] == basic["vary"] == "Accept"


@pytest.mark.parametrize("wire", STREAM_FORMATS, ids=lambda wire: wire.profile)
async def test_a_run_that_is_gone_ends_in_an_error_on_each_wire(wire: StreamFormat) -> None:
    body = await Relay([], heartbeat_seconds=0.001).body(wire)

    assert body.startswith(b": keep-alive\n\n")
    *_, error, end = blocks(body)
    assert b'"type":"error"' in error
    assert b"lost" in error
    assert end == b"data: [DONE]"


async def test_a_client_whose_wire_has_nothing_to_say_hears_the_heartbeat() -> None:
    relay = Relay(log_of(ReasoningDelta(id="r", delta="hm"))[:-1], heartbeat_seconds=0.001)

    assert (await relay.body(BASIC)).startswith(b": keep-alive\n\n")
    assert relay.settled
