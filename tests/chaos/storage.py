"""The Redis of the deployment: one server, a primary with a replica and Sentinel, or a cluster."""

import asyncio
import signal
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from shared.redis import keys
from shared.redis.client import Redis
from shared.redis.cluster_client import ClusterClient
from tests.chaos.clock import FakeClock
from tests.chaos.faults import FaultKind, PlannedFault
from tests.support.fakes.proxy import Proxy
from tests.support.processes import Valkey
from tests.support.redis_cluster import RedisCluster, open_cluster
from tests.support.redis_sentinel import SentinelPair, open_sentinel_pair

#: One server; a primary with a replica, by Sentinel; one server with a cluster for the streams.
StorageKind = Literal["single", "sentinel", "cluster"]

#: How long a replica lacks writes before its primary is killed, as a share of a fault's duration.
_LAG = 1 / 8


@dataclass(frozen=True)
class Storage:
    queue: Valkey | SentinelPair
    #: Has the runs and their streams, if it is not None.
    cluster: RedisCluster | None = None
    #: The clock of the queue's server.
    clock: FakeClock | None = None

    @property
    def port(self) -> int:
        """The port that a proxy connects to."""
        return self.queue.port if isinstance(self.queue, Valkey) else self.queue.primary.port

    @property
    def output(self) -> str:
        nodes = self.cluster.primaries + self.cluster.replicas if self.cluster else []
        return "".join(part.output for part in (self.queue, *nodes))

    def env(self, link: Proxy) -> dict[str, str]:
        """The settings of a process whose link to the queue is a proxy, unless it uses Sentinel."""
        is_single = isinstance(self.queue, Valkey)
        url = f"redis://127.0.0.1:{link.port}/0" if is_single else self.queue.url
        streams = {"MAMBA_REDIS__STREAMS_URL": self.cluster.url} if self.cluster else {}
        return {"MAMBA_REDIS__URL": url, **streams}

    def client(self) -> Redis:
        return self.queue.client()

    def runs_client(self) -> Redis | ClusterClient:
        """A client for the runs and their streams."""
        return self.cluster.client() if self.cluster else self.queue.client()

    async def names_without_ttl(self) -> list[bytes]:
        redis = self.client()
        try:
            names: list[bytes] = await redis.execute_command("KEYS", "*")
            found = [n for n in names if await redis.execute_command("PTTL", n) == -1]
        finally:
            await redis.aclose()
        return found + (await self.cluster.names_without_ttl() if self.cluster else [])

    async def run_names(self) -> list[bytes]:
        """The keys of all stored runs, and of their streams."""
        if self.cluster:
            names = await self.cluster.names()
            return [name for name in names if name.startswith(keys.run("").encode().rstrip(b"}"))]
        redis = self.client()
        try:
            return await redis.execute_command("KEYS", keys.run("*"))
        finally:
            await redis.aclose()

    async def break_server(self, fault: PlannedFault) -> None:
        """Inject a fault, and return when it has ended."""
        match fault.kind:
            case FaultKind.REDIS_FAILOVER if self.cluster:
                await self.cluster.fail_over(fault.number % 3, lag=fault.seconds * _LAG)
            case FaultKind.REDIS_FAILOVER if isinstance(self.queue, SentinelPair):
                await self.queue.fail_over(lag=fault.seconds * _LAG)
            case FaultKind.REDIS_CLOCK if self.clock:
                self.clock.set(fault.clock_offset)
            case _:
                assert isinstance(self.queue, Valkey), f"{fault.kind} needs a single server"
                await _break_single(self.queue, fault)


async def _break_single(server: Valkey, fault: PlannedFault) -> None:
    match fault.kind:
        case FaultKind.REDIS_STOP:
            server.send(signal.SIGSTOP)
            await asyncio.sleep(fault.seconds)
            server.send(signal.SIGCONT)
        case FaultKind.REDIS_FULL:
            await _fill(server, fault.seconds)
        case _:
            await server.kill()
            await asyncio.sleep(fault.seconds / 4)
            server.start()
            await server.ready()


async def _fill(server: Valkey, seconds: float) -> None:
    """Let the server behave as if its memory were used up."""
    redis = server.client()
    try:
        for limit in (1, 0):
            await redis.execute_command("CONFIG", "SET", "maxmemory", limit)
            await asyncio.sleep(seconds if limit else 0)
    finally:
        await redis.aclose()


@asynccontextmanager
async def open_storage(
    kind: StorageKind, folder: Path, clock: FakeClock | None
) -> AsyncGenerator[Storage]:
    async with AsyncExitStack() as stack:
        if kind == "sentinel":
            yield Storage(await stack.enter_async_context(open_sentinel_pair(folder)))
            return
        server = Valkey(data=folder, env=clock.env if clock else None).start()
        stack.push_async_callback(_end, server)
        storage = Storage(await server.ready(), clock=clock)
        if kind == "cluster":
            # `redis.confirm_replicas` applies to the queue's server too.
            replica = Valkey().start_as_replica_of(server)
            stack.push_async_callback(_end, replica)
            cluster = await stack.enter_async_context(open_cluster(folder, replicas=3))
            storage = replace(storage, cluster=cluster)
        yield storage


async def _end(server: Valkey) -> None:
    await server.kill()
    with suppress(ValueError):  # the output is already closed
        await server.stop()
