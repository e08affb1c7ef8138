"""A Redis Cluster of real processes on loopback, for tests."""

import asyncio
import itertools
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from shared.redis.cluster_client import ClusterClient
from shared.redis.hash_slots import Address, slot_of
from tests.support.processes import Valkey, free_port
from tests.support.wait import until

_SLOTS = 16384
#: After so long a silence a node is taken for dead.
_NODE_TIMEOUT_MS = "1500"


class ClusterNode(Valkey):
    def __init__(self, folder: Path, *, keeps: bool = False) -> None:
        bus = free_port()
        data = folder / f"data-{bus}" if keeps else None
        if data:
            data.mkdir()
        super().__init__(
            data=data,
            options=[
                *("--cluster-enabled", "yes", "--cluster-port", str(bus)),
                *("--cluster-config-file", str(folder / f"nodes-{bus}.conf")),
                *("--cluster-node-timeout", _NODE_TIMEOUT_MS),
                *("--cluster-require-full-coverage", "no", "--repl-diskless-sync-delay", "0"),
            ],
        )
        self.bus = bus

    async def ask(self, *command: str | int) -> Any:
        client = self.client()
        try:
            return await client.execute_command(*command)
        finally:
            await client.aclose()

    async def id(self) -> str:
        found: bytes = await self.ask("CLUSTER", "MYID")
        return found.decode()

    @property
    def address(self) -> Address:
        return Address("127.0.0.1", self.port)


@dataclass
class RedisCluster:
    primaries: list[ClusterNode]
    replicas: list[ClusterNode] = field(default_factory=list[ClusterNode])

    @property
    def url(self) -> str:
        return "cluster://" + ",".join(str(node.address) for node in self.primaries)

    def client(self) -> ClusterClient:
        return ClusterClient(self.url, name="test", max_connections=8)

    @property
    def alive(self) -> list[ClusterNode]:
        return [one for one in self.primaries + self.replicas if one.child.poll() is None]

    async def owner(self, key: str) -> ClusterNode:
        """The node that has the key, by the word of one that is alive."""
        port = await _owner(self.alive[0], slot_of(key))
        return next(one for one in self.primaries + self.replicas if one.port == port)

    async def agree_on(self, slot: int, owner: ClusterNode) -> None:
        """Until every node knows who has the slot."""

        async def probe() -> bool:
            return {await _owner(node, slot) for node in self.alive} == {owner.port}

        await until(probe, seconds=30)

    async def flush(self) -> None:
        for node in self.primaries:
            await node.ask("FLUSHALL")

    async def names(self) -> list[bytes]:
        """All keys there are."""
        return [name for node in self.primaries for name in await node.ask("KEYS", "*")]

    async def names_without_ttl(self) -> list[bytes]:
        return [
            name
            for node in self.primaries
            for name in await node.ask("KEYS", "*")
            if await node.ask("PTTL", name.decode()) == -1
        ]

    async def end(self) -> None:
        for node in self.primaries + self.replicas:
            await node.kill()
            await node.stop()


async def start(folder: Path, *, replicas: int = 0, keeps: bool = False) -> RedisCluster:
    """Three primaries that share the slots, the first so many with a replica each.

    Those that `keep` have all that was written when they come back.
    """
    nodes = [ClusterNode(folder, keeps=keeps).start() for _ in range(3 + replicas)]
    found = RedisCluster(nodes[:3], nodes[3:])
    await asyncio.gather(*(node.ready() for node in nodes))
    for number, node in enumerate(found.primaries):
        first, last = _SLOTS * number // 3, _SLOTS * (number + 1) // 3 - 1
        await node.ask("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        await node.ask("CLUSTER", "ADDSLOTSRANGE", first, last)
    for one, other in itertools.permutations(nodes, 2):
        await one.ask("CLUSTER", "MEET", "127.0.0.1", other.port, other.bus)
    for node in nodes:
        await until(partial(_sees, node, len(nodes)), seconds=30)
    for primary, replica in zip(found.primaries, found.replicas, strict=False):
        await replica.ask("CLUSTER", "REPLICATE", await primary.id())
        await until(partial(_in_step, replica), seconds=30)
    return found


@asynccontextmanager
async def cluster(
    folder: Path, *, replicas: int = 0, keeps: bool = False
) -> AsyncGenerator[RedisCluster]:
    """One of a test's own, which it may break."""
    own = await start(folder, replicas=replicas, keeps=keeps)
    try:
        yield own
    finally:
        await own.end()


async def _owner(node: ClusterNode, slot: int) -> int | None:
    """The port of the slot's owner, as a node sees it."""
    told: list[Any] = await node.ask("CLUSTER", "SLOTS")
    return next((row[2][1] for row in told if row[0] <= slot <= row[1]), None)


class SharedCluster:
    """One for many tests, none of which breaks it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._cluster: RedisCluster | None = None

    @asynccontextmanager
    async def emptied(self) -> AsyncGenerator[RedisCluster]:
        """It must be left without keys that have no TTL."""
        if self._cluster is None:
            self._cluster = await start(self._folder)
        await self._cluster.flush()
        yield self._cluster
        eternal = await self._cluster.names_without_ttl()
        assert not eternal, f"keys without a TTL: {eternal}"

    async def end(self) -> None:
        if self._cluster is not None:
            await self._cluster.end()


async def _sees(node: ClusterNode, count: int) -> bool:
    """Whether it knows of all nodes, and of an owner for each slot."""
    told: bytes = await node.ask("CLUSTER", "INFO")
    fields = dict(line.split(":", 1) for line in told.decode().split())
    return (
        fields["cluster_state"] == "ok"
        and int(fields["cluster_known_nodes"]) == count
        and int(fields["cluster_slots_ok"]) == _SLOTS
    )


async def _in_step(replica: ClusterNode) -> bool:
    told: dict[str, Any] = await replica.ask("INFO", "replication")
    return told["role"] == "slave" and told["master_link_status"] == "up"


async def in_step(primary: ClusterNode, replica: ClusterNode) -> bool:
    """Whether the replica has all that was written."""
    written: dict[str, int] = await primary.ask("INFO", "replication")
    copied: dict[str, int] = await replica.ask("INFO", "replication")
    return written["master_repl_offset"] == copied["slave_repl_offset"]


async def migrate(cluster: RedisCluster, key: str, *, settle: bool = True) -> ClusterNode:
    """Move the slot of a key, with all it holds, to the next primary: who has it then.

    Without `settle` it stays on its way: its keys are there, and the slot is not.
    """
    slot, source = slot_of(key), await cluster.owner(key)
    primaries = cluster.primaries
    target = primaries[(primaries.index(source) + 1) % len(primaries)]
    await target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", await source.id())
    await source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", await target.id())
    found: list[bytes] = await source.ask("CLUSTER", "GETKEYSINSLOT", slot, 1000)
    names = [name.decode() for name in found]
    if names:
        await source.ask("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *names)
    if settle:
        await give(cluster, slot, target)
    return target


async def give(cluster: RedisCluster, slot: int, target: ClusterNode) -> None:
    """End the way of a slot: from now on it is the target's."""
    name = await target.id()
    for node in (target, *(one for one in cluster.primaries if one is not target)):
        await node.ask("CLUSTER", "SETSLOT", slot, "NODE", name)
    await cluster.agree_on(slot, target)
