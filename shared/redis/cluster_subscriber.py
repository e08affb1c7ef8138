"""Sharded pub/sub: each channel is subscribed at the node that owns its slot.

There is one connection per node. When a slot moves or a node is lost, its channels are subscribed
again at the new owner, and each new subscription is reported to the listeners as a gap.
"""

import asyncio

from redis.exceptions import ResponseError

from shared.background_task import BackgroundTask
from shared.redis.cluster_client import ClusterClient
from shared.redis.hash_slots import Address, redirect_in
from shared.redis.subscriber import Listener, Subscriber

#: Shortest time between two reads of the slot map; and after a failed one.
_REFRESH_SECONDS = 0.05
_RETRY_SECONDS = 0.5


class ClusterSubscriber(BackgroundTask):
    """The counterpart of `Subscriber` for a cluster. Use as an async context manager."""

    def __init__(self, cluster: ClusterClient, *, name: str) -> None:
        self._cluster = cluster
        self._name = name
        self._listeners: dict[str, set[Listener]] = {}
        self._nodes: dict[Address, _NodeSubscriber] = {}
        #: The connection at which each channel is subscribed.
        self._subscribers: dict[str, _NodeSubscriber] = {}
        #: Set when a channel may be subscribed at the wrong node.
        self._wakeup = asyncio.Event()

    def add(self, channel: str, listener: Listener) -> None:
        """Listen to a channel. `on_gap` is called when the subscription is active."""
        self._listeners.setdefault(channel, set()).add(listener)
        subscriber = self._subscribers.get(channel) or self._find(channel)
        if subscriber is None:
            self._wakeup.set()
        else:
            self._subscribers[channel] = subscriber
            subscriber.add(channel, listener)

    def remove(self, channel: str, listener: Listener) -> None:
        listeners = self._listeners.get(channel, set())
        listeners.discard(listener)
        if not listeners:
            self._listeners.pop(channel, None)
        if subscriber := self._subscribers.get(channel):
            subscriber.remove(channel, listener)
            if not listeners:
                del self._subscribers[channel]

    def _find(self, channel: str) -> "_NodeSubscriber | None":
        """Return the connection to the owner of the channel's slot; None if no owner is known."""
        node = self._cluster.owner(channel)
        return self._nodes.get(node) if node else None

    async def _run(self) -> None:
        self._cluster.slots.on_change.append(self._wakeup.set)
        try:
            while True:
                pause = _REFRESH_SECONDS
                if await self._cluster.refresh() is not None:
                    self._wakeup.set()
                    pause = _RETRY_SECONDS
                self._connect()
                self._assign_channels()
                await self._disconnect()
                await self._wakeup.wait()
                self._wakeup.clear()
                await asyncio.sleep(pause)
        finally:
            self._cluster.slots.on_change.remove(self._wakeup.set)
            self._subscribers.clear()
            nodes, self._nodes = self._nodes, {}
            for subscriber in nodes.values():
                await subscriber.stop()

    def _connect(self) -> None:
        """Connect to every node that owns slots."""
        for node in self._cluster.slots.nodes:
            if node not in self._nodes:
                subscriber = _NodeSubscriber(
                    self._cluster, node, name=self._name, wakeup=self._wakeup
                )
                self._nodes[node] = subscriber.start()

    async def _disconnect(self) -> None:
        """Disconnect from nodes that no longer own slots."""
        for node in self._nodes.keys() - set(self._cluster.slots.nodes):
            await self._nodes.pop(node).stop()

    def _assign_channels(self) -> None:
        """Move channels whose slot has moved, and repeat subscriptions that are not active."""
        for channel, listeners in self._listeners.items():
            before, now = self._subscribers.get(channel), self._find(channel)
            if now is None:
                continue
            if now is before:
                now.ensure_subscribed(channel)
                continue
            self._subscribers[channel] = now
            for listener in listeners:
                if before:
                    before.remove(channel, listener)
                now.add(channel, listener)


class _NodeSubscriber(Subscriber):
    """The connection to one node. Sets `wakeup` when a channel may have moved."""

    KINDS = (b"smessage", b"ssubscribe", b"sunsubscribe")

    def __init__(
        self, cluster: ClusterClient, node: Address, *, name: str, wakeup: asyncio.Event
    ) -> None:
        super().__init__({**cluster.options, "host": node.host, "port": node.port}, name=name)
        self._cluster = cluster
        self._node = node
        self._wakeup = wakeup

    def ensure_subscribed(self, channel: str) -> None:
        if (name := channel.encode()) not in self._subscribed:
            self._subscribe(name)

    def _subscribe(self, *names: bytes) -> None:
        for name in names:  # channels of one command would have to share a slot
            self._send("SSUBSCRIBE", name)

    def _unsubscribe(self, name: bytes) -> None:
        self._send("SUNSUBSCRIBE", name)

    def _on_ended(self, channel: bytes) -> None:
        if channel in self._listeners:
            self._wakeup.set()

    def _on_error(self, error: Exception) -> None:
        if redirect := redirect_in(ResponseError(str(error)), self._node):
            self._cluster.slots.follow(redirect)
        else:
            super()._on_error(error)
        self._wakeup.set()

    def _on_lost(self) -> None:
        self._wakeup.set()
