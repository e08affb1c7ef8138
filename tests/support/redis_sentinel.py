"""A primary, its replica and their Sentinel, as real processes for tests."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from mamba.dev.valkey import valkey_binary
from shared.redis.client import REDIS_UNAVAILABLE, connect
from tests.support.processes import ServerProcess, Valkey, free_port
from tests.support.wait import until

SERVICE = "mamba"


class Sentinel(ServerProcess):
    """A Sentinel that fails over if the primary does not respond within 300 ms."""

    def __init__(self, folder: Path, primary: Valkey) -> None:
        self.port = free_port()
        config = folder / "sentinel.conf"
        config.write_text(
            f"port {self.port}\nbind 127.0.0.1\ndir {folder}\n"
            f"sentinel monitor {SERVICE} 127.0.0.1 {primary.port} 1\n"
            f"sentinel down-after-milliseconds {SERVICE} 300\n"
            f"sentinel failover-timeout {SERVICE} 5000\n"
        )
        super().__init__(valkey_binary(), str(config), "--sentinel")


@dataclass
class SentinelPair:
    """A primary and a replica with a Sentinel."""

    primary: Valkey
    replica: Valkey
    sentinel: Sentinel

    @property
    def url(self) -> str:
        return f"sentinel://127.0.0.1:{self.sentinel.port}/{SERVICE}/0"

    async def wait_for_sync(self) -> None:
        """Wait until the replica has received all writes so far."""
        client = self.primary.client()
        try:
            # WAIT covers only earlier writes on the same connection.
            await client.execute_command("SET", "in-sync", "1", "PX", 1000)
            assert await client.execute_command("WAIT", 1, 10_000) == 1
        finally:
            await client.aclose()


@asynccontextmanager
async def open_sentinel_pair(folder: Path) -> AsyncGenerator[SentinelPair]:
    """Start both servers, and a Sentinel that has discovered the replica."""
    primary = Valkey(options=["--repl-diskless-sync-delay", "0"])
    replica = Valkey(options=["--replicaof", "127.0.0.1", str(primary.port)])
    pair = SentinelPair(primary, replica, Sentinel(folder, primary))
    async with AsyncExitStack() as stack:
        for process in (primary, replica):
            process.start()
            stack.push_async_callback(_kill, process)
            await process.ready()
        # A Sentinel requests the replicas from a primary at once, and then every ten seconds.
        await pair.wait_for_sync()
        pair.sentinel.start()
        stack.push_async_callback(_kill, pair.sentinel)
        await until(lambda: _has_found_replica(pair.sentinel), seconds=30)
        yield pair


async def _has_found_replica(sentinel: Sentinel) -> bool:
    client = connect(f"redis://127.0.0.1:{sentinel.port}", name="test", max_connections=1)
    try:
        replicas = await client.execute_command("SENTINEL", "REPLICAS", SERVICE)
    except REDIS_UNAVAILABLE:
        return False
    finally:
        await client.aclose()
    return bool(replicas)


async def _kill(process: ServerProcess) -> None:
    await process.kill()
    await process.stop()
