"""A Redis Cluster of real processes on loopback, for tests."""

import asyncio
import itertools
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from shared.redis.cluster_client import ClusterClient
from shared.redis.hash_slots import Address, slot_of
from tests.support.processes import Valkey, free_port
from tests.support.wait import until

_SLOTS = 16384
#: How long a node may be unreachable before the cluster fails it over.
_NODE_TIMEOUT_MS = "1500"


class ClusterNode(Valkey):
    def __init__(self, folder: Path, *, persistent: bool = False) -> None:
        bus = free_port()
        data = folder / f"data-{bus}" if persistent else None
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
        return [node for node in self.primaries + self.replicas if node.child.poll() is None]

    async def owner(self, key: str) -> ClusterNode:
        """Return the node that owns the key."""
        port = await _owner(self.alive[0], slot_of(key))
        return next(node for node in self.primaries + self.replicas if node.port == port)

    async def wait_for_owner(self, slot: int, owner: ClusterNode, *, seconds: float = 30) -> None:
        """Wait until every node reports `owner` as the slot's owner."""

        async def probe() -> bool:
            return {await _owner(node, slot) for node in self.alive} == {owner.port}

        await until(probe, seconds=seconds)

    async def flush(self) -> None:
        for node in self.primaries:
            await node.ask("FLUSHALL", "SYNC")

    async def names(self) -> list[bytes]:
        """Return the names of all keys."""
        return [name for node in self.primaries for name in await node.ask("KEYS", "*")]

    async def names_without_ttl(self) -> list[bytes]:
        return [
            name
            for node in self.primaries
            for name in await node.ask("KEYS", "*")
            if await node.ask("PTTL", name.decode()) == -1
        ]

    async def fail_over(self, number: int, *, lag: float = 0.0) -> None:
        """Kill a primary, and add it again as the replica of the new one, without its data.

        The replica lacks what was written in the last `lag` seconds.
        """
        primary, replica = self.primaries[number], self.replicas[number]
        await until(partial(_is_linked, replica), seconds=60)
        await until(partial(is_in_sync, primary, replica), seconds=60)
        if lag:
            await primary.ask("ACL", "SETUSER", "default", "-psync", "-sync")
            await primary.ask("CLIENT", "KILL", "TYPE", "REPLICA")
            await asyncio.sleep(lag)
        await primary.kill()
        await until(partial(_is_primary, replica), seconds=60)
        self.primaries[number], self.replicas[number] = replica, primary
        primary.start()
        await primary.ready()
        await until(partial(_is_linked, primary), seconds=60)

    async def stop(self) -> None:
        for node in self.primaries + self.replicas:
            await node.kill()
            await node.stop()


async def start_cluster(
    folder: Path, *, replicas: int = 0, persistent: bool = False
) -> RedisCluster:
    """Start three primaries that share the slots. The first `replicas` of them get one replica.

    Persistent nodes have their data again after a restart.
    """
    nodes = [ClusterNode(folder, persistent=persistent).start() for _ in range(3 + replicas)]
    cluster = RedisCluster(nodes[:3], nodes[3:])
    try:
        await _form(cluster)
    except BaseException:
        await cluster.stop()
        raise
    return cluster


async def _form(cluster: RedisCluster) -> None:
    nodes = cluster.primaries + cluster.replicas
    await asyncio.gather(*(node.ready() for node in nodes))
    for number, node in enumerate(cluster.primaries):
        first, last = _SLOTS * number // 3, _SLOTS * (number + 1) // 3 - 1
        await node.ask("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        await node.ask("CLUSTER", "ADDSLOTSRANGE", first, last)
    await _join(nodes)
    for primary, replica in zip(cluster.primaries, cluster.replicas, strict=False):
        await replica.ask("CLUSTER", "REPLICATE", await primary.id())
        await until(partial(_is_linked, replica), seconds=30)


async def _join(nodes: list[ClusterNode]) -> None:
    """Introduce the nodes to each other, again if a node has given up a slow handshake."""
    for _ in range(4):
        for node, other in itertools.permutations(nodes, 2):
            await node.ask("CLUSTER", "MEET", "127.0.0.1", other.port, other.bus)
        with suppress(TimeoutError):
            for node in nodes:
                await until(partial(_has_joined, node, len(nodes)), seconds=15)
            return
    raise TimeoutError("the nodes do not form a cluster")


@asynccontextmanager
async def open_cluster(
    folder: Path, *, replicas: int = 0, persistent: bool = False
) -> AsyncGenerator[RedisCluster]:
    """Start a cluster for one test, which may stop its nodes."""
    cluster = await start_cluster(folder, replicas=replicas, persistent=persistent)
    try:
        yield cluster
    finally:
        await cluster.stop()


async def _owner(node: ClusterNode, slot: int) -> int | None:
    """Return the port of the slot's owner, as reported by a node."""
    ranges: list[Any] = await node.ask("CLUSTER", "SLOTS")
    return next((row[2][1] for row in ranges if row[0] <= slot <= row[1]), None)


class SharedCluster:
    """A cluster for all tests that leave its nodes running. It starts on first use."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._cluster: RedisCluster | None = None

    @asynccontextmanager
    async def emptied(self) -> AsyncGenerator[RedisCluster]:
        """Flush the cluster. Fails afterwards if a key has no TTL."""
        if self._cluster is None:
            self._cluster = await start_cluster(self._folder)
        await self._cluster.flush()
        yield self._cluster
        persistent = await self._cluster.names_without_ttl()
        assert not persistent, f"keys without a TTL: {persistent}"

    async def stop(self) -> None:
        if self._cluster is not None:
            await self._cluster.stop()


async def _has_joined(node: ClusterNode, count: int) -> bool:
    """Whether the node has all others in its map, and an owner for each slot.

    `cluster_known_nodes` also counts addresses that have not yet replied as a node.
    """
    info: bytes = await node.ask("CLUSTER", "INFO")
    fields = dict(line.split(":", 1) for line in info.decode().split())
    listed: bytes = await node.ask("CLUSTER", "NODES")
    known = [line for line in listed.splitlines() if b"handshake" not in line.split()[2]]
    return (
        fields["cluster_state"] == "ok"
        and int(fields["cluster_slots_ok"]) == _SLOTS
        and len(known) == count
    )


async def _is_linked(replica: ClusterNode) -> bool:
    info: dict[str, Any] = await replica.ask("INFO", "replication")
    return info["role"] == "slave" and info["master_link_status"] == "up"


async def _is_primary(node: ClusterNode) -> bool:
    info: dict[str, Any] = await node.ask("INFO", "replication")
    return info["role"] == "master"


async def is_in_sync(primary: ClusterNode, replica: ClusterNode) -> bool:
    """Whether the replica has received all writes."""
    written: dict[str, int] = await primary.ask("INFO", "replication")
    copied: dict[str, int] = await replica.ask("INFO", "replication")
    return written["master_repl_offset"] == copied["slave_repl_offset"]


async def migrate(cluster: RedisCluster, key: str, *, finish: bool = True) -> ClusterNode:
    """Move the slot of a key to the next primary, and return that node.

    Without `finish`, the migration stays open: the target has the keys, the source the slot.
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
    if finish:
        await assign_slot(cluster, slot, target)
    return target


async def assign_slot(cluster: RedisCluster, slot: int, target: ClusterNode) -> None:
    """Finish a slot's migration: make the target its owner.

    An older message of another node can restore the old owner, so this is repeated.
    """
    target_id = await target.id()

    async def is_assigned() -> bool:
        for node in (target, *(other for other in cluster.primaries if other is not target)):
            await node.ask("CLUSTER", "SETSLOT", slot, "NODE", target_id)
        with suppress(TimeoutError):
            await cluster.wait_for_owner(slot, target, seconds=5)
            return True
        return False

    await until(is_assigned, seconds=60)
