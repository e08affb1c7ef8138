"""The response that relays a run's stream to one client."""

import asyncio
import math
import random
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from dataclasses import dataclass
from urllib.parse import quote

from starlette.types import Receive, Scope, Send

from api.http.detached import DetachedResponse
from api.http.draining import Draining
from api.http.exchange import wait_for_disconnect
from api.http.request_id import request_id_of
from api.monitoring.request_metrics import STREAM_CLIENTS
from api.monitoring.tracing import trace_run
from api.streaming.cursor import ClientCursor
from api.streaming.orphan_reaper import OrphanReaper
from api.streaming.queue_position import QueuePositionTracker, QueuePositionWatch
from api.streaming.run_lookup import RunLookup
from api.streaming.sse import (
    HEARTBEAT,
    STREAM_OPEN,
    encode_data,
    encode_retry,
    encode_sse,
    id_suffix,
)
from api.streaming.stream_format import UI_MESSAGE, StreamFormat
from api.streaming.stream_view import StreamView
from shared.errors import CursorLost
from shared.runs.finalize import RunEnding
from shared.runs.run import Run
from shared.settings.live_settings import LiveSettings
from shared.streams.event_stream import START, Cursor, Entry
from shared.streams.events import DONE
from shared.streams.follow import Follower, FollowerFactory
from shared.streams.run_state import RunState

#: The server copies what it has not sent yet, so large bodies are passed to it in pieces.
_PIECE_BYTES = 65_536
#: Heartbeats are due at multiples of this time, so that the runs of many clients are checked
#: together.
_HEARTBEAT_GRID_SECONDS = 0.25
#: Headers of every event stream.
STREAM_HEADERS = {
    "cache-control": "no-cache, no-transform",
    "connection": "keep-alive",
    "vary": "Accept",
    "x-accel-buffering": "no",
}


@dataclass(frozen=True, slots=True)
class RelayContext:
    """The services and settings that one relay uses."""

    followers: FollowerFactory
    draining: Draining
    #: Called while the stream is silent. Returns False if nothing follows the client's cursor.
    reap_or_wait: Callable[[str, Cursor], Awaitable[bool]]
    heartbeat_seconds: float


@dataclass(frozen=True, slots=True)
class RelayFactory:
    """Creates the responses with which clients follow runs."""

    followers: FollowerFactory
    draining: Draining
    live: LiveSettings
    lookup: RunLookup
    reaper: OrphanReaper
    positions: QueuePositionTracker

    async def create(
        self,
        run: Run,
        stream_format: StreamFormat = UI_MESSAGE,
        cursor: ClientCursor | None = None,
        *,
        rebuild: bool = False,
        skipped: int = 0,
        counts_chunks: bool = False,
        merged: bool = False,
    ) -> "RelayResponse":
        """Create the response that relays a run from a cursor on.

        With `rebuild`, the client rebuilds the message, so the parts of earlier runs are replayed.
        Without it, the client has them, unless the cursor belongs to such a replay.

        `skipped` is the number of the run's first events that the client does not receive. A client
        that counts chunks receives no queue positions, which are not part of the stream. With
        `merged`, a client that catches up receives merged deltas.

        Raises:
            CursorLost: if the rest of that replay is no longer stored.
        """
        trace_run(run)
        source = cursor.source if cursor else None
        rebuild = rebuild or source is not None
        needs_earlier = run.continues and (rebuild or stream_format.converter)
        earlier = await self.lookup.earlier_runs(run) if needs_earlier else ()
        if source not in (None, run.id, *(earlier or ())):
            raise CursorLost
        after = cursor.cursor if cursor else START
        view = StreamView(
            stream_format,
            after,
            earlier_runs=earlier,
            rebuild=rebuild,
            source=source,
            skipped=skipped,
            merged=merged,
        )
        is_waiting = run.state is RunState.QUEUED and not counts_chunks
        shows_position = is_waiting and stream_format is UI_MESSAGE
        watch = QueuePositionWatch(self.positions, run) if shows_position else None
        context = RelayContext(
            self.followers,
            self.draining,
            self.reaper.reap_or_wait,
            self.live.now.server.heartbeat_seconds,
        )
        return RelayResponse(context, run, view, watch)


def run_headers(run: Run) -> dict[str, str]:
    """Return the headers that identify a run. They must be ASCII: the chat id is URL-encoded."""
    return {"x-run-id": run.id, "x-chat-id": quote(run.chat_id, safe="!*'()")}


class RelayResponse(DetachedResponse):
    """Relays a run to its end, or until the client disconnects or this process drains.

    Stored bytes are sent unchanged unless the stream format converts them or deltas are merged. If
    the relay cannot go on, it leaves the response incomplete, because the AI SDK takes a clean end
    for a complete answer.
    """

    def __init__(
        self,
        context: RelayContext,
        run: Run,
        view: StreamView,
        watch: QueuePositionWatch | None = None,
    ) -> None:
        stream_format = view.stream_format
        headers = {"content-type": stream_format.content_type, **stream_format.headers}
        headers |= {**STREAM_HEADERS, **run_headers(run), "x-workflow-run-id": run.id}
        super().__init__(None, 200, headers=headers)
        del self.headers["content-length"]
        self._context = context
        self._run_id = run.id
        self._view = view
        self._start_pending = view.splits_start
        self._watch = watch
        self._disconnected = False
        self._heartbeat_due = False

    async def stream(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.send_start(send)
        await send_body(send, STREAM_OPEN)
        context, view = self._context, self._view
        follow = context.followers.follow(self._run_id, view.read_from, merged=view.merged)
        with (
            STREAM_CLIENTS.track_inprogress(),
            follow as follower,
            context.draining.on_start(follower.notify),
            self._watch.notifying(follower.notify) if self._watch else nullcontext(),
        ):
            listening = asyncio.create_task(self._listen_for_disconnect(receive, follower))
            self._schedule_heartbeat(follower)
            try:
                await self._relay(follower, send, request_id_of(scope))
            finally:
                listening.cancel()
                self._next_heartbeat.cancel()

    async def _relay(self, follower: Follower, send: Send, request_id: str) -> None:
        while not self._disconnected:
            if self._context.draining.started:
                # An incomplete response makes the server reset the connection.
                await send_body(send, encode_retry(random.randint(100, 1000)))  # noqa: S311
                return
            try:
                if not await self._relay_next(follower, send, request_id):
                    return
            except CursorLost:
                await send_body(send, self._lost_ending(request_id), more=False)
                return

    async def _relay_next(self, follower: Follower, send: Send, request_id: str) -> bool:
        """Send the next entries, and return whether to continue.

        Raises:
            CursorLost: if entries are no longer stored.
        """
        entries = await follower.read()
        if entries and self._start_pending:
            await self._send_earlier(send, entries.pop(0))
        if visible := self._view.apply(entries):
            return not await self._send_entries(send, visible)
        return await self._send_idle(send, follower, request_id)

    async def _send_earlier(self, send: Send, start: Entry) -> None:
        """Send the run's first entry, then the parts of the message that earlier runs wrote."""
        self._start_pending = False
        if visible := self._view.apply([start]):
            await self._send_entries(send, visible, source=self._run_id)
        followers, view = self._context.followers, self._view
        for run_id, after in view.earlier_runs():
            with followers.replay(run_id, after, merged=view.merged) as replay:
                while not (replay.ended or self._disconnected):
                    parts = view.apply_earlier(run_id, await replay.read())
                    if parts:
                        await self._send_entries(send, parts, source=run_id)
                    elif self._heartbeat_due:
                        self._heartbeat_due = False
                        await send_body(send, HEARTBEAT)

    async def _send_entries(
        self, send: Send, entries: list[Entry], *, source: str | None = None
    ) -> bool:
        """Send the entries, and return whether they end the stream.

        `source` is the run that wrote them, if they belong to a message replay.
        """
        self._heartbeat_due = False
        if self._watch is not None:
            self._watch.stop()
            self._watch = None
        source = source if self._view.rebuild else None
        last = entries[-1].is_last
        await send_body(send, encode_sse(entries, id_suffix(self._run_id, source)), more=not last)
        return last

    async def _send_idle(self, send: Send, follower: Follower, request_id: str) -> bool:
        """Send a new queue position and a due heartbeat; return False if the run is lost."""
        if self._watch and (update := self._watch.take_update()):
            await send_body(send, update)
        if not self._heartbeat_due:
            return True
        self._heartbeat_due = False
        await send_body(send, HEARTBEAT)
        if await self._context.reap_or_wait(self._run_id, follower.cursor):
            return True
        await send_body(send, self._lost_ending(request_id), more=False)
        return False

    def _lost_ending(self, request_id: str) -> bytes:
        ending = [*(event.encode() for event in RunEnding.lost(request_id).events), DONE]
        entries = self._view.convert([Entry(0, 0, data) for data in ending])
        return b"".join(encode_data(entry.data) for entry in entries)

    async def _listen_for_disconnect(self, receive: Receive, follower: Follower) -> None:
        await wait_for_disconnect(receive)
        self._disconnected = True
        follower.notify()

    def _schedule_heartbeat(self, follower: Follower) -> None:
        loop, seconds = asyncio.get_running_loop(), self._context.heartbeat_seconds
        grid = min(_HEARTBEAT_GRID_SECONDS, seconds / 10)
        due = math.ceil((loop.time() + seconds) / grid) * grid
        self._next_heartbeat = loop.call_at(due, self._on_heartbeat, follower)

    def _on_heartbeat(self, follower: Follower) -> None:
        self._heartbeat_due = True
        follower.notify()
        self._schedule_heartbeat(follower)


async def send_body(send: Send, body: bytes, *, more: bool = True) -> None:
    for start in range(0, max(1, len(body)), _PIECE_BYTES):
        piece = body[start : start + _PIECE_BYTES]
        more_body = more or start + len(piece) < len(body)
        await send({"type": "http.response.body", "body": piece, "more_body": more_body})
