"""A primary and its replica, with and without a Sentinel, as real processes for tests."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from mamba.dev.valkey import valkey_binary
from shared.redis.client import REDIS_UNAVAILABLE, Redis, connect
from tests.support.processes import ServerProcess, Valkey, free_port
from tests.support.wait import until

SERVICE = "mamba"


class Sentinel(ServerProcess):
    """A Sentinel that fails over if the primary does not respond within `down_after_ms`."""

    def __init__(self, folder: Path, primary: Valkey, down_after_ms: int) -> None:
        self.port = free_port()
        config = folder / "sentinel.conf"
        config.write_text(
            f"port {self.port}\nbind 127.0.0.1\ndir {folder}\n"
            f"sentinel monitor {SERVICE} 127.0.0.1 {primary.port} 1\n"
            f"sentinel down-after-milliseconds {SERVICE} {down_after_ms}\n"
            f"sentinel failover-timeout {SERVICE} 5000\n"
        )
        super().__init__(valkey_binary(), str(config), "--sentinel")


@dataclass
class ReplicaPair:
    """A primary and a replica."""

    primary: Valkey
    replica: Valkey

    async def wait_for_sync(self) -> None:
        """Wait until the replica has received all writes so far."""
        # WAIT covers only earlier writes on the same connection.
        async with _client_of(self.primary) as client:

            async def has_synced() -> bool:
                await client.execute_command("SET", "in-sync", "1", "PX", 1000)
                return await client.execute_command("WAIT", 1, 100) == 1

            await until(has_synced, seconds=30)

    async def cut_replication(self) -> None:
        """Cut the replica off: from now on, it receives no writes."""
        async with _client_of(self.replica) as client:
            await client.execute_command("REPLICAOF", "127.0.0.1", 1)

    async def restore_replication(self) -> None:
        async with _client_of(self.replica) as client:
            await client.execute_command("REPLICAOF", "127.0.0.1", self.primary.port)


@dataclass
class SentinelPair(ReplicaPair):
    """A primary and a replica with a Sentinel."""

    sentinel: Sentinel

    @property
    def url(self) -> str:
        return f"sentinel://127.0.0.1:{self.sentinel.port}/{SERVICE}/0"

    @property
    def output(self) -> str:
        return "".join(part.output for part in (self.primary, self.replica, self.sentinel))

    def client(self) -> Redis:
        return connect(self.url, name="test", max_connections=8)

    async def fail_over(self, *, lag: float = 0.0) -> None:
        """Kill the primary, and add it again as the replica of the new one, without its data.

        The replica lacks what was written in the last `lag` seconds.
        """
        await self._wait_until_complete()
        if lag:
            await self.cut_replication()
            await asyncio.sleep(lag)
        await self.primary.kill()
        await until(self._is_replica_promoted, seconds=60)
        self.primary, self.replica = self.replica, self.primary
        self.replica.start_as_replica_of(self.primary)
        await self.replica.ready()
        await self._wait_until_complete()

    async def _wait_until_complete(self) -> None:
        """Wait until the replica has the data, and the Sentinel would promote it."""
        await until(self._is_complete, seconds=60)

    async def _is_complete(self) -> bool:
        if await self._is_replica_promoted():  # a slow machine can cause another failover
            self.primary, self.replica = self.replica, self.primary
        async with _client_of(self.replica) as client, _client_of(self.sentinel) as sentinel:
            try:
                role = await client.execute_command("ROLE")
                found = await sentinel.execute_command("SENTINEL", "REPLICAS", SERVICE)
            except REDIS_UNAVAILABLE:
                return False
        is_linked = role[0] == b"slave" and role[2:4] == [self.primary.port, b"connected"]
        listed = [dict(zip(fields[::2], fields[1::2], strict=True)) for fields in found]
        return is_linked and [fields[b"flags"] for fields in listed] == [b"slave"]

    async def _is_replica_promoted(self) -> bool:
        async with _client_of(self.sentinel) as client:
            found = await client.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE)
        return found[1] == str(self.replica.port).encode()


@asynccontextmanager
async def open_replica_pair() -> AsyncGenerator[ReplicaPair]:
    """Start both servers, and wait until the replica has the data."""
    options = ["--repl-diskless-sync-delay", "0"]
    pair = ReplicaPair(Valkey(options=options), Valkey(options=options))
    async with AsyncExitStack() as stack:
        for process in (pair.primary.start(), pair.replica.start_as_replica_of(pair.primary)):
            stack.push_async_callback(_kill, process)
            await process.ready()
        await pair.wait_for_sync()
        yield pair


@asynccontextmanager
async def open_sentinel_pair(
    folder: Path, *, down_after_ms: int = 1000
) -> AsyncGenerator[SentinelPair]:
    """Start both servers, and a Sentinel that has discovered the replica.

    A shorter `down_after_ms` would cause failovers on a busy machine.
    """
    async with open_replica_pair() as servers, AsyncExitStack() as stack:
        # A Sentinel requests the replicas from a primary at once, and then every ten seconds.
        sentinel = Sentinel(folder, servers.primary, down_after_ms).start()
        stack.push_async_callback(_kill, sentinel)
        await until(lambda: _has_found_replica(sentinel), seconds=30)
        yield SentinelPair(servers.primary, servers.replica, sentinel)


@asynccontextmanager
async def _client_of(server: Valkey | Sentinel) -> AsyncGenerator[Redis]:
    client = connect(f"redis://127.0.0.1:{server.port}", name="test", max_connections=1)
    try:
        yield client
    finally:
        await client.aclose()


async def _has_found_replica(sentinel: Sentinel) -> bool:
    async with _client_of(sentinel) as client:
        try:
            return bool(await client.execute_command("SENTINEL", "REPLICAS", SERVICE))
        except REDIS_UNAVAILABLE:
            return False


async def _kill(process: ServerProcess) -> None:
    await process.kill()
    await process.stop()
