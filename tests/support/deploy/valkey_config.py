"""The configuration of a Valkey that is started with the arguments of a deployment file."""

from collections.abc import Sequence
from pathlib import Path

from mamba.dev.valkey import valkey_binary
from shared.redis.client import REDIS_UNAVAILABLE, connect
from tests.support.processes import ServerProcess, free_port
from tests.support.wait import until

_NAMES = ("appendonly", "maxmemory", "maxmemory-policy", "save")


async def effective_config(arguments: Sequence[str], folder: Path) -> dict[str, str]:
    """Start Valkey with the arguments and its data in the folder, and return its configuration."""
    port = str(free_port())
    command = [*arguments, "--port", port, "--dir", str(folder)]
    server = ServerProcess(valkey_binary(), *command).start()
    client = connect(f"redis://127.0.0.1:{port}/0", name="test", max_connections=2)

    async def is_ready() -> bool:
        try:
            return bool(await client.execute_command("PING"))
        except REDIS_UNAVAILABLE:
            return False

    async def setting(name: str) -> str:
        [_, value] = await client.execute_command("CONFIG", "GET", name)
        return value.decode()

    try:
        await until(is_ready)
        return {name: await setting(name) for name in _NAMES}
    finally:
        await client.aclose()
        await server.stop()
