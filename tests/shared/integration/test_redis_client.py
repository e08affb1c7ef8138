from pathlib import Path

import pytest

from shared.redis.client import REDIS_UNAVAILABLE, Redis, connect
from shared.redis.scripts import Key, redis_script
from tests.support.processes import Valkey, stop_all


@pytest.mark.parametrize("scheme", ["redis", "unix"])
async def test_client_connects_by_tcp_and_unix_socket(tmp_path: Path, scheme: str) -> None:
    server = Valkey(data=tmp_path, options=["--unixsocket", str(tmp_path / "socket")])
    server.start()
    await server.ready()
    url = server.url if scheme == "redis" else f"unix://{tmp_path / 'socket'}?db=0"
    client = connect(url, name="me", max_connections=2)

    info = await client.execute_command("CLIENT INFO")

    assert info["name"] == "me"
    await client.aclose()
    await stop_all(server)


@redis_script("return redis.call('SET', name, '1', 'PX', 60000)")
def write(*, name: Key) -> bytes | str | bool: ...


async def test_rejected_write_raises_redis_unavailable(redis: Redis) -> None:
    await redis.execute_command("CONFIG", "SET", "min-replicas-to-write", 1)
    try:
        with pytest.raises(REDIS_UNAVAILABLE, match="NOREPLICAS"):
            await write(redis, name="key")
    finally:
        await redis.execute_command("CONFIG", "SET", "min-replicas-to-write", 0)

    assert await write(redis, name="key") in (b"OK", "OK", True)
