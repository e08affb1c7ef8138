import asyncio
import socket
import struct
from pathlib import Path

import pytest
import uvloop
from redis.exceptions import TimeoutError as RedisTimeoutError

from shared.redis.bounded_client import BoundedClient
from shared.redis.client import REDIS_UNAVAILABLE, Redis, connect, open_pool
from shared.redis.scripts import Key, redis_script
from tests.support.fakes.proxy import Proxy
from tests.support.processes import Valkey, stop_all
from tests.support.wait import until


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


async def test_bounded_client_limits_calls_pipelines_and_waits(valkey: Valkey) -> None:
    async with Proxy(valkey.port) as proxy:
        url = f"redis://127.0.0.1:{proxy.port}/0"
        client = BoundedClient(connect(url, name="", max_connections=1), seconds=2)
        await client.execute_command("PING")
        proxy.freeze_connections()

        async def pipe() -> None:
            async with client.pipeline(transaction=False) as commands:
                commands.execute_command("PING")
                await commands.execute()

        calls = [client.execute_command("PING"), pipe()]
        async with asyncio.timeout(20):
            errors = await asyncio.gather(*calls, return_exceptions=True)

        assert [type(error) for error in errors] == [RedisTimeoutError] * 2
        await client.execute_command("PING")
        assert proxy.accepted == 2
        await client.aclose()


async def test_calls_wait_while_others_succeed(valkey: Valkey) -> None:
    connections = connect(valkey.url, name="", max_connections=1)
    client = BoundedClient(connections, seconds=2, max_calls=1)

    calls = [client.execute_command("BLPOP", "none", 0.4) for _ in range(8)]
    replies = await asyncio.gather(*calls)  # the last one waits for 2.8 s

    assert replies == [None] * 8
    await client.aclose()


async def test_calls_that_wait_for_others_are_made_in_order(valkey: Valkey) -> None:
    client = BoundedClient(connect(valkey.url, name="", max_connections=1), seconds=3, max_calls=1)
    made: list[int] = []

    async def call(number: int) -> None:
        await client.execute_command("BLPOP", "none", 0.4)
        made.append(number)

    async with asyncio.TaskGroup() as calls:
        for number in range(6):
            calls.create_task(call(number))
            await asyncio.sleep(0.1)  # the later ones arrive when the earlier ones have waited

    assert made == list(range(6))
    await client.aclose()


async def test_cancelled_wait_for_others_takes_no_slot(valkey: Valkey) -> None:
    client = BoundedClient(connect(valkey.url, name="", max_connections=1), max_calls=1)
    first = asyncio.create_task(client.execute_command("BLPOP", "none", 0.2))
    await asyncio.sleep(0)
    waiting = [asyncio.create_task(client.execute_command("PING")) for _ in range(3)]
    await asyncio.sleep(0)

    for task in waiting[:2]:
        task.cancel()
    await asyncio.gather(first, *waiting, return_exceptions=True)

    assert [task.cancelled() for task in waiting] == [True, True, False]
    await client.execute_command("PING")
    await client.aclose()


async def test_calls_that_wait_for_a_silent_redis_fail_together(valkey: Valkey) -> None:
    async with Proxy(valkey.port) as proxy:
        url = f"redis://127.0.0.1:{proxy.port}/0"
        client = BoundedClient(connect(url, name="", max_connections=2), seconds=1, max_calls=2)
        await client.execute_command("PING")
        proxy.freeze()

        calls = [client.execute_command("PING") for _ in range(40)]
        async with asyncio.timeout(10):  # one after the other, they would take 20 s
            errors = await asyncio.gather(*calls, return_exceptions=True)

        assert [type(error) for error in errors] == [RedisTimeoutError] * 40
        proxy.resume()
        await client.execute_command("PING")
        await client.aclose()


async def test_unanswered_call_closes_idle_connections_too(valkey: Valkey) -> None:
    async with Proxy(valkey.port) as proxy:
        url = f"redis://127.0.0.1:{proxy.port}/0"
        client = BoundedClient(connect(url, name="", max_connections=4), seconds=3)
        await asyncio.gather(*(client.execute_command("BLPOP", "none", 0.1) for _ in range(4)))
        proxy.freeze_replies()

        with pytest.raises(RedisTimeoutError):
            await client.execute_command("PING")
        async with asyncio.timeout(2.5):  # on a half-open connection, they would take 3 s
            await asyncio.gather(*(client.execute_command("PING") for _ in range(4)))

        assert proxy.accepted == 8
        await client.aclose()


def test_reset_of_a_connection_in_use_is_redis_unavailable() -> None:
    uvloop.run(_write_after_reset())


async def _write_after_reset() -> None:
    async with await asyncio.start_server(_reset, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        pool = open_pool(f"redis://{host}:{port}/0", name="", max_connections=1)
        connection = pool.make_connection()
        await connection.connect()
        transport = connection._writer.transport  # pyright: ignore[reportPrivateUsage, reportOptionalMemberAccess]
        await connection.send_packed_command([b"PING\r\n"], check_health=False)

        async def is_closing() -> bool:
            return transport.is_closing()

        await until(is_closing)  # uvloop closes the transport; redis-py does not see it
        assert connection.is_connected
        with pytest.raises(REDIS_UNAVAILABLE, match="reset"):
            await connection.send_packed_command([b"PING\r\n"], check_health=False)
        assert not connection.is_connected


async def _reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer the commands that introduce a client, and reset the connection at a PING."""
    while (received := await reader.read(65_536)) and b"PING" not in received:
        writer.write(b"+OK\r\n" * received.count(b"CLIENT"))
    linger = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()
