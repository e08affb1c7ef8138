"""Sharded pub/sub: each channel is subscribed at the node that has its slot.

One connection to each node that has had a channel. A node tells no more of a slot that has left it,
and a node that is lost tells nothing: then the channels are subscribed anew where their slots are,
and each of these subscriptions is announced as a gap.
"""

import asyncio

from redis.exceptions import ResponseError

from shared.background_task import BackgroundTask
from shared.redis.cluster_client import ClusterClient
from shared.redis.hash_slots import Address, redirect_in
from shared.redis.subscriber import Listener, Subscriber

#: Between two looks for where the slots are; where nobody could tell.
_LOOK_SECONDS = 0.05
_AWAY_SECONDS = 0.5


class ClusterSubscriber(BackgroundTask):
    """What `Subscriber` is for one server. Use as an async context manager."""

    def __init__(self, cluster: ClusterClient, *, name: str) -> None:
        self._cluster = cluster
        self._name = name
        self._listeners: dict[str, set[Listener]] = {}
        self._nodes: dict[Address, _NodeSubscriber] = {}
        #: Where each channel is subscribed.
        self._places: dict[str, _NodeSubscriber] = {}
        #: Rung where a channel may be at the wrong node.
        self._bell = asyncio.Event()

    def add(self, channel: str, listener: Listener) -> None:
        """Listen to a channel. `on_gap` tells when the subscription stands."""
        self._listeners.setdefault(channel, set()).add(listener)
        place = self._places.get(channel) or self._find(channel)
        if place is None:
            self._bell.set()
        else:
            self._places[channel] = place
            place.add(channel, listener)

    def remove(self, channel: str, listener: Listener) -> None:
        listeners = self._listeners.get(channel, set())
        listeners.discard(listener)
        if not listeners:
            self._listeners.pop(channel, None)
        if place := self._places.get(channel):
            place.remove(channel, listener)
            if not listeners:
                del self._places[channel]

    def _find(self, channel: str) -> "_NodeSubscriber | None":
        """The connection that a channel belongs to; None if nobody is known to have its slot."""
        node = self._cluster.owner(channel)
        return self._nodes.get(node) if node else None

    async def _run(self) -> None:
        self._cluster.slots.on_change.append(self._bell.set)
        try:
            while True:
                pause = _LOOK_SECONDS
                if await self._cluster.refresh() is not None:
                    self._bell.set()
                    pause = _AWAY_SECONDS
                self._connect()
                self._place()
                await self._disconnect()
                await self._bell.wait()
                self._bell.clear()
                await asyncio.sleep(pause)
        finally:
            for place in self._nodes.values():
                await place.stop()

    def _connect(self) -> None:
        """To every node that has slots."""
        for node in self._cluster.slots.nodes:
            if node not in self._nodes:
                place = _NodeSubscriber(self._cluster, node, name=self._name, bell=self._bell)
                self._nodes[node] = place.start()

    async def _disconnect(self) -> None:
        """From those that have none any more."""
        for node in self._nodes.keys() - set(self._cluster.slots.nodes):
            await self._nodes.pop(node).stop()

    def _place(self) -> None:
        """Move what is at another node than its slot; ask again for what does not stand."""
        for channel, listeners in self._listeners.items():
            before, now = self._places.get(channel), self._find(channel)
            if now is None:
                continue
            if now is before:
                now.ask_again(channel)
                continue
            self._places[channel] = now
            for listener in listeners:
                if before:
                    before.remove(channel, listener)
                now.add(channel, listener)


class _NodeSubscriber(Subscriber):
    """The connection to one node. It rings where a channel has to be looked for."""

    KINDS = (b"smessage", b"ssubscribe", b"sunsubscribe")

    def __init__(
        self, cluster: ClusterClient, node: Address, *, name: str, bell: asyncio.Event
    ) -> None:
        self._join({**cluster.options, "host": node.host, "port": node.port}, name)
        self._cluster = cluster
        self._node = node
        self._bell = bell

    def ask_again(self, channel: str) -> None:
        if (name := channel.encode()) not in self._subscribed:
            self._subscribe(name)

    def _subscribe(self, *names: bytes) -> None:
        for name in names:  # those of one command would have to share a slot
            self._send("SSUBSCRIBE", name)

    def _unsubscribe(self, name: bytes) -> None:
        self._send("SUNSUBSCRIBE", name)

    def _on_ended(self, channel: bytes) -> None:
        if channel in self._listeners:
            self._bell.set()

    def _on_error(self, error: Exception) -> None:
        if redirect := redirect_in(ResponseError(str(error)), self._node):
            self._cluster.slots.follow(redirect)
        else:
            super()._on_error(error)
        self._bell.set()

    def _on_lost(self) -> None:
        self._bell.set()
