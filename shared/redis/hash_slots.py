"""The hash slots of a Redis Cluster, and which node is known to own each."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot
from redis.exceptions import ResponseError


class Address(NamedTuple):
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class Redirect(NamedTuple):
    """A node's reply that another node has a slot: permanently, or `once` while its keys move."""

    slot: int
    node: Address
    once: bool


def slot_of(key: str | bytes) -> int:
    return key_slot(key if isinstance(key, bytes) else key.encode())


def hash_tag_of(key: str) -> str:
    """Return the part of a key that determines its slot."""
    tag = key.partition("{")[2].partition("}")
    return tag[0] if tag[0] and tag[1] else key


def redirect_in(reply: object, sender: Address) -> Redirect | None:
    """Parse a redirection such as `MOVED 866 127.0.0.1:7002`, sent by the node `sender`."""
    if not isinstance(reply, ResponseError):
        return None
    kind, _, rest = str(reply).partition(" ")
    if kind not in ("MOVED", "ASK"):
        return None
    slot, _, address = rest.partition(" ")
    host, _, port = address.rpartition(":")
    # A node omits the host if the other node has no configured name: use the sender's host.
    return Redirect(int(slot), Address(host or sender.host, int(port)), kind == "ASK")


class SlotMap:
    """The owner of each slot. Calls the callbacks in `on_change` when an owner changes."""

    def __init__(self) -> None:
        self._owners: list[Address | None] = [None] * REDIS_CLUSTER_HASH_SLOTS
        self._moving: set[int] = set()
        self.on_change: list[Callable[[], None]] = []

    @property
    def nodes(self) -> list[Address]:
        """The nodes that own slots."""
        return sorted({owner for owner in self._owners if owner})

    @property
    def uncovered(self) -> int:
        """The number of slots without an owner."""
        return self._owners.count(None)

    def owner(self, slot: int) -> Address | None:
        return self._owners[slot]

    def is_moving(self, slot: int) -> bool:
        """Return whether keys of the slot are moving to another node."""
        return slot in self._moving

    def update(self, slots: Sequence[Sequence[Any]], sender: Address) -> None:
        """Store the reply of CLUSTER SLOTS: first slot, last slot, primary, replicas."""
        owners: list[Address | None] = [None] * REDIS_CLUSTER_HASH_SLOTS
        for first, last, primary, *_ in slots:
            host = primary[0].decode() if primary[0] else sender.host
            node = Address(sender.host if host == "?" else host, int(primary[1]))
            owners[first : last + 1] = [node] * (last + 1 - first)
        if owners != self._owners:
            self._moving = {slot for slot in self._moving if owners[slot] == self._owners[slot]}
            self._owners = owners
            self._notify()

    def follow(self, redirect: Redirect) -> None:
        if redirect.once:
            self._moving.add(redirect.slot)
        elif self._owners[redirect.slot] != redirect.node:
            self._owners[redirect.slot] = redirect.node
            self._moving.discard(redirect.slot)
            self._notify()

    def _notify(self) -> None:
        for callback in self.on_change:
            callback()
