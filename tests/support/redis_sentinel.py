"""A primary, its replica, and the Sentinel that watches them: real processes for tests."""

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
    """It takes a primary that is silent for 300 ms for dead."""

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
class Watched:
    primary: Valkey
    replica: Valkey
    sentinel: Sentinel

    @property
    def url(self) -> str:
        return f"sentinel://127.0.0.1:{self.sentinel.port}/{SERVICE}/0"

    async def in_step(self) -> None:
        """Until the replica has all that was written so far."""
        client = self.primary.client()
        try:
            # It waits for what was written before on the same connection alone.
            await client.execute_command("SET", "in-step", "1", "PX", 1000)
            assert await client.execute_command("WAIT", 1, 10_000) == 1
        finally:
            await client.aclose()


@asynccontextmanager
async def watched(folder: Path) -> AsyncGenerator[Watched]:
    """Both servers and a Sentinel that knows of the replica."""
    primary = Valkey(options=["--repl-diskless-sync-delay", "0"])
    replica = Valkey(options=["--replicaof", "127.0.0.1", str(primary.port)])
    pair = Watched(primary, replica, Sentinel(folder, primary))
    async with AsyncExitStack() as stack:
        for process in (primary, replica):
            process.start()
            stack.push_async_callback(_end, process)
            await process.ready()
        # A Sentinel asks a primary for its replicas at once, and then each ten seconds.
        await pair.in_step()
        pair.sentinel.start()
        stack.push_async_callback(_end, pair.sentinel)
        await until(lambda: _knows_replica(pair.sentinel), seconds=30)
        yield pair


async def _knows_replica(sentinel: Sentinel) -> bool:
    client = connect(f"redis://127.0.0.1:{sentinel.port}", name="test", max_connections=1)
    try:
        replicas = await client.execute_command("SENTINEL", "REPLICAS", SERVICE)
    except REDIS_UNAVAILABLE:
        return False
    finally:
        await client.aclose()
    return bool(replicas)


async def _end(process: ServerProcess) -> None:
    await process.kill()
    await process.stop()
