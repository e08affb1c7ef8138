"""Which node of a Redis Cluster has which keys, as far as is known."""

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
    """A node's word that a slot is at another: from now on, or `once`, while its keys move."""

    slot: int
    node: Address
    once: bool


def slot_of(key: str | bytes) -> int:
    return key_slot(key if isinstance(key, bytes) else key.encode())


def redirect_in(reply: object, asked: Address) -> Redirect | None:
    """The redirection that a reply is, such as `MOVED 866 127.0.0.1:7002`."""
    if not isinstance(reply, ResponseError):
        return None
    kind, _, rest = str(reply).partition(" ")
    if kind not in ("MOVED", "ASK"):
        return None
    slot, _, place = rest.partition(" ")
    host, _, port = place.rpartition(":")
    # A node that does not know the other's name leaves it out: it is the name it was asked by.
    return Redirect(int(slot), Address(host or asked.host, int(port)), kind == "ASK")


class SlotMap:
    """`on_change` are told whenever a slot has another owner."""

    def __init__(self) -> None:
        self._owners: list[Address | None] = [None] * REDIS_CLUSTER_HASH_SLOTS
        self._moving: set[int] = set()
        self.on_change: list[Callable[[], None]] = []

    @property
    def nodes(self) -> list[Address]:
        """All that have slots."""
        return sorted({owner for owner in self._owners if owner})

    @property
    def uncovered(self) -> int:
        """How many slots nobody has."""
        return self._owners.count(None)

    def owner(self, slot: int) -> Address | None:
        return self._owners[slot]

    def moves(self, slot: int) -> bool:
        """Whether keys of the slot were found to be on their way to another node."""
        return slot in self._moving

    def learn(self, told: Sequence[Sequence[Any]], asked: Address) -> None:
        """Take what CLUSTER SLOTS replied: first slot, last slot, primary, replicas."""
        owners: list[Address | None] = [None] * REDIS_CLUSTER_HASH_SLOTS
        for first, last, primary, *_ in told:
            host = primary[0].decode() if primary[0] else asked.host
            node = Address(asked.host if host == "?" else host, int(primary[1]))
            owners[first : last + 1] = [node] * (last + 1 - first)
        if owners != self._owners:
            self._moving = {slot for slot in self._moving if owners[slot] == self._owners[slot]}
            self._owners = owners
            self._tell()

    def follow(self, redirect: Redirect) -> None:
        if redirect.once:
            self._moving.add(redirect.slot)
        elif self._owners[redirect.slot] != redirect.node:
            self._owners[redirect.slot] = redirect.node
            self._moving.discard(redirect.slot)
            self._tell()

    def _tell(self) -> None:
        for callback in self.on_change:
            callback()
