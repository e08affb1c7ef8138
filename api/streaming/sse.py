"""The relay: a run's log to one client, as server-sent events.

Each event carries `id: <attempt>-<offset>@<run>`, the cursor that a client comes back with, on
every wire. The bytes of the log go out as they are, unless the wire is a view. Heartbeats are
comments: an unknown chunk would be fatal to the AI SDK. A relay that cannot go on resets the
connection: a clean end is, to the SDK, a whole answer.
"""

import asyncio
import random
import re
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import nullcontext
from typing import NamedTuple
from urllib.parse import quote

import structlog
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.http.draining import Draining
from api.http.request_id import request_id_of
from api.monitoring.request_metrics import STREAM_CLIENTS
from api.streaming.message_replay import TruncatedReplay, message_events
from api.streaming.queue_position import QueuedRun
from api.streaming.stream_format import UI_MESSAGE, StreamFormat
from shared.runs.finalize import RunEnding
from shared.streams.event_stream import START, Cursor, Entry
from shared.streams.events import DONE
from shared.streams.follow import Follower, Following

log = structlog.stdlib.get_logger()

_HEADERS = {
    "cache-control": "no-cache, no-transform",
    "connection": "keep-alive",
    "vary": "Accept",
    "x-accel-buffering": "no",
}
_OPEN = b": stream-open\n\n"
_HEARTBEAT = b": keep-alive\n\n"
_CURSOR = re.compile(
    r"(?P<attempt>\d{1,9})-(?P<offset>\d{1,9})(?:@(?P<run>[\w-]{1,64}))?", re.ASCII
)
#: As the document says it: JSON Schema names no groups.
CURSOR_PATTERN = r"^[0-9]{1,9}-[0-9]{1,9}(@[A-Za-z0-9_-]{1,64})?$"


class ClientCursor(NamedTuple):
    """A `Last-Event-ID`, and the run it belongs to, where it says so."""

    cursor: Cursor
    run_id: str | None


def parse_cursor(text: str) -> ClientCursor | None:
    """None if it is no cursor of ours."""
    match = _CURSOR.fullmatch(text.strip())
    if match is None:
        return None
    return ClientCursor(Cursor(int(match["attempt"]), int(match["offset"])), match["run"])


def encode_sse(entries: Iterable[Entry], run_id: bytes) -> bytes:
    return b"".join(
        b"id: %d-%d@%b\ndata: %b\n\n" % (entry.attempt, entry.offset, run_id, entry.data)
        for entry in entries
    )


class RelayResponse(Response):
    """Follows a run to its end, or until the client or this process goes away.

    `settle` is called in silences: it ends the run if nobody works on it any more, and says False
    if nothing is left to follow from the reader's place. `earlier` is what the message's earlier
    runs have said, or None where that is lost; it is sent behind the `start` of a client that has
    to `rebuild` the message. `waiting` tells where a queued run stands. Headers hold ASCII only:
    `x-chat-id` is the chat's id as it stands in the path of its URLs.
    """

    def __init__(
        self,
        follower: Follower,
        draining: Draining,
        *,
        run_id: str,
        chat_id: str,
        after: Cursor = START,
        wire: StreamFormat = UI_MESSAGE,
        heartbeat_seconds: float,
        settle: Callable[[str, Cursor], Awaitable[bool]],
        earlier: Sequence[Entry] | None = (),
        rebuild: bool = False,
        waiting: QueuedRun | None = None,
    ) -> None:
        ids = {"x-run-id": run_id, "x-chat-id": quote(chat_id, safe="!*'()")}
        headers = {"content-type": wire.content_type, **wire.headers, **_HEADERS, **ids}
        super().__init__(None, 200, headers=headers)
        del self.headers["content-length"]
        self._follower = follower
        self._draining = draining
        self._run_id = run_id
        self._after = after
        self._view = wire.view() if wire.view else None
        said = message_events(earlier or ())
        if self._view is not None:  # it has to know the calls
            said = self._view(said)
        self._rebuilt = said if rebuild else []
        self._shorten = TruncatedReplay() if rebuild and earlier is None else None
        self._heartbeat_seconds = heartbeat_seconds
        self._settle = settle
        self._waiting = waiting
        self._gone = False
        #: A heartbeat is due.
        self._silent = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        await _send_body(send, _OPEN)
        with (
            STREAM_CLIENTS.track_inprogress(),
            self._follower.follow(self._run_id, self._first) as following,
            self._draining.on_start(following.notify),
            self._waiting.until_left(following.notify) if self._waiting else nullcontext(),
        ):
            watching = asyncio.create_task(self._watch(receive, following))
            beating = asyncio.create_task(self._beat(following))
            try:
                await self._relay(following, send, request_id_of(scope))
            finally:
                watching.cancel()
                beating.cancel()

    async def _relay(self, following: Following, send: Send, request_id: str) -> None:
        run_id = self._run_id.encode()
        while not self._gone:
            if self._draining.started:
                # The response stays unfinished, so that the server resets the connection.
                await _send_body(send, b"retry: %d\n\n" % random.randint(100, 1000))  # noqa: S311
                return
            entries = self._shown(await following.read())
            if entries:
                self._silent = False
                self._begin()
                last = entries[-1].data == DONE
                await _send_body(send, encode_sse(entries, run_id), more=not last)
                if last:
                    return
                continue
            if place := self._waiting and self._waiting.news():
                await _send_body(send, place)
            if self._silent:
                self._silent = False
                await _send_body(send, _HEARTBEAT)
                if not await self._settle(self._run_id, following.cursor):
                    await _send_body(send, self._lost(request_id), more=False)
                    return

    def _begin(self) -> None:
        if self._waiting is not None:
            self._waiting.leave()
            self._waiting = None

    @property
    def _first(self) -> Cursor:
        """Where the log is read from. A view's events need what came before the cursor."""
        return START if self._view else self._after

    def _shown(self, entries: list[Entry]) -> list[Entry]:
        """The entries as this client reads them."""
        shown = entries
        if self._shorten is not None:
            shown = self._shorten(shown)
        if self._view is not None:
            shown = [entry for entry in self._view(shown) if entry.offset > self._after.offset]
        return self._opened(entries[0], shown) if entries and self._rebuilt else shown

    def _opened(self, start: Entry, shown: list[Entry]) -> list[Entry]:
        """With what the earlier runs have said, behind the `start` and under its id."""
        rebuilt, self._rebuilt = [start._replace(data=e.data) for e in self._rebuilt], []
        at = int(start in shown)
        return [*shown[:at], *rebuilt, *shown[at:]]

    def _lost(self, request_id: str) -> bytes:
        ending = [*(event.encode() for event in RunEnding.lost(request_id).events), DONE]
        entries = [Entry(0, 0, data) for data in ending]
        if self._view is not None:
            entries = self._view(entries)
        return b"".join(b"data: %b\n\n" % entry.data for entry in entries)

    async def _watch(self, receive: Receive, following: Following) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._gone = True
        following.notify()

    async def _beat(self, following: Following) -> None:
        while True:
            await asyncio.sleep(self._heartbeat_seconds)
            self._silent = True
            following.notify()


async def _send_body(send: Send, body: bytes, *, more: bool = True) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": more})
