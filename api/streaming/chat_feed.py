"""The feed of a chat: which of its runs is live, which wait, and which have ended.

The scripts that change a chat queue publish on its channel. Publications are only notifications:
after each one, the feed reads the state of the chat and sends the changes since its last event. So
nothing is stored for a feed, and a lost publication delays an event by at most one heartbeat. A
cursor describes the state of the chat that the client has received.
"""

import asyncio
import random
import time
from contextlib import suppress
from dataclasses import dataclass

from starlette.types import Receive, Scope, Send

from api.http.detached import DetachedResponse
from api.http.draining import Draining
from api.http.exchange import wait_for_disconnect
from api.monitoring.request_metrics import STREAM_CLIENTS
from api.streaming.chat_state import ChatCursor, read_chat_cursor, read_chat_state
from api.streaming.relay import STREAM_HEADERS, send_body
from api.streaming.sse import HEARTBEAT, STREAM_OPEN, encode_data, encode_retry
from api.streaming.stream_format import EVENT_STREAM
from shared.errors import NotFound
from shared.redis import keys
from shared.redis.client import REDIS_UNAVAILABLE, RedisError
from shared.redis.subscriber import Subscriptions
from shared.runs.chat_index import ChatIndex
from shared.runs.store import RunStore
from shared.settings.live_settings import LiveSettings

#: The client then reconnects, which authenticates its user again.
_MAX_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class ChatFeeds:
    """Creates the responses with which clients follow chats."""

    runs: RunStore
    chats: ChatIndex
    #: Connected to the queue's server.
    subscriptions: Subscriptions
    draining: Draining
    live: LiveSettings

    async def create(
        self, owner: str, chat_id: str, last_event_id: str | None
    ) -> "ChatFeedResponse":
        """Create the response that sends what a client with this cursor has not been sent.

        Raises:
            NotFound: if no run of the chat is stored.
            InvalidRequest: if the cursor is invalid.
        """
        if await self.chats.newest_run(owner, chat_id) is None:
            raise NotFound
        return ChatFeedResponse(self, owner, chat_id, read_chat_cursor(last_event_id))


class ChatFeedResponse(DetachedResponse):
    """Sends the events of a chat until the client disconnects, or until it has to reconnect."""

    def __init__(
        self, feeds: ChatFeeds, owner: str, chat_id: str, known: ChatCursor | None
    ) -> None:
        super().__init__(None, 200, headers={"content-type": EVENT_STREAM, **STREAM_HEADERS})
        del self.headers["content-length"]
        self._feeds = feeds
        self._owner = owner
        self._chat_id = chat_id
        self._known = known
        self._due = asyncio.Event()
        self._disconnected = False
        self._heartbeat_due = False

    def on_message(self, message: bytes) -> None:  # noqa: ARG002
        """The chat has changed."""
        self._due.set()

    def on_gap(self) -> None:
        """The chat may have changed."""
        self._due.set()

    async def stream(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        await self.send_start(send)
        await send_body(send, STREAM_OPEN)
        feeds, channel = self._feeds, keys.chat_queue(self._owner, self._chat_id)
        tasks = (
            asyncio.create_task(self._listen_for_disconnect(receive)),
            asyncio.create_task(self._schedule_heartbeats()),
        )
        feeds.subscriptions.add(channel, self)
        try:
            with STREAM_CLIENTS.track_inprogress(), feeds.draining.on_start(self._due.set):
                await self._relay(send)
        finally:
            feeds.subscriptions.remove(channel, self)
            for task in tasks:
                task.cancel()

    async def _relay(self, send: Send) -> None:
        deadline = time.monotonic() + _MAX_SECONDS
        self._due.set()
        while True:
            await self._due.wait()
            self._due.clear()
            if self._disconnected:
                return
            if self._feeds.draining.started or time.monotonic() >= deadline:
                # An incomplete response makes the server reset the connection.
                await send_body(send, encode_retry(random.randint(100, 1000)))  # noqa: S311
                return
            with suppress(*REDIS_UNAVAILABLE, RedisError):  # the next heartbeat reads again
                await send_body(send, await self._take_events())
            if self._heartbeat_due:
                self._heartbeat_due = False
                await send_body(send, HEARTBEAT)

    async def _take_events(self) -> bytes:
        """Return the events that the client has not been sent.

        Only the last one has an id. A client that received only some of them receives all again
        when it reconnects.
        """
        feeds = self._feeds
        state = await read_chat_state(
            feeds.runs, feeds.chats, self._owner, self._chat_id, self._known
        )
        events = [*state.events_since(self._known)]
        if not events:
            return b""
        self._known = state.cursor
        *first, last = [encode_data(event.model_dump_json().encode()) for event in events]
        return b"".join([*first, f"id: {self._known.encode()}\n".encode(), last])

    async def _listen_for_disconnect(self, receive: Receive) -> None:
        await wait_for_disconnect(receive)
        self._disconnected = True
        self._due.set()

    async def _schedule_heartbeats(self) -> None:
        while True:
            await asyncio.sleep(self._feeds.live.now.server.heartbeat_seconds)
            self._heartbeat_due = True
            self._due.set()
