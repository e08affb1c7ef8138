"""Connections to the primary that Sentinels report, before and after a failover."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import cast

import hiredis
import pytest

from shared.redis.client import (
    REDIS_UNAVAILABLE,
    Redis,
    RedisError,
    connect,
    connection_options,
)
from shared.redis.failover import accepts_unreplicated_writes, watch_failovers
from shared.redis.sentinel import Sentinels
from shared.redis.subscriber import Subscriber
from tests.support.auth.certificate import self_signed
from tests.support.fakes.proxy import Proxy
from tests.support.fakes.recorder import Recorder
from tests.support.processes import Valkey
from tests.support.redis_sentinel import SERVICE, SentinelPair, open_sentinel_pair
from tests.support.wait import until

CHANNEL = "news"


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncGenerator[SentinelPair]:
    async with open_sentinel_pair(tmp_path) as pair:
        yield pair


async def test_pool_and_subscriber_follow_a_failover(pair: SentinelPair) -> None:
    async with AsyncExitStack() as stack:
        pool = connect(pair.url, name="test", max_connections=4)
        stack.push_async_callback(pool.aclose)
        subscriber = await stack.enter_async_context(Subscriber(pair.url, name="test"))
        listener = Recorder()
        subscriber.add(CHANNEL, listener)
        await listener.has_gaps(1)
        await pool.execute_command("SET", "key", "kept", "PX", 60_000)
        await pair.wait_for_sync()

        await pair.primary.kill()

        assert await until(lambda: read_key(pool), seconds=30) == b"kept"
        await pool.execute_command("SET", "key", "new", "PX", 60_000)
        await listener.has_gaps(2)
        await pool.execute_command("PUBLISH", CHANNEL, "message")
        assert await listener.all_before(pool, CHANNEL) == [b"message"]


async def test_clients_leave_an_old_primary_that_still_answers(pair: SentinelPair) -> None:
    async with AsyncExitStack() as stack:
        old, new = pair.primary.client(), pair.replica.client()
        pool = connect(pair.url, name="client", max_connections=4)
        for client in (old, new, pool):
            stack.push_async_callback(client.aclose)
        await watch_failovers([pair.url], stack, name="watch")
        await stack.enter_async_context(Subscriber(pair.url, name="client"))
        await asyncio.gather(*(pool.execute_command("BLPOP", "none", 0.1) for _ in range(3)))
        waiting = asyncio.create_task(pop(pool, "list"))
        await until(lambda: has_clients(old, 4))
        # Sentinel cannot make it a replica, as if the two were separated.
        await old.execute_command("ACL", "SETUSER", "default", "-replicaof", "-slaveof")

        sentinel_url, announced = f"redis://127.0.0.1:{pair.sentinel.port}", Recorder()
        subscriber = await stack.enter_async_context(Subscriber(sentinel_url, name="test"))
        subscriber.add("+switch-master", announced)
        await announced.has_gaps(1)

        await until(lambda: start_failover(pair), seconds=30)
        await until(lambda: is_announced(announced), seconds=30)
        await until(lambda: has_clients(old, 0))

        assert (await old.execute_command("ROLE"))[0] == b"master"
        await pool.execute_command("RPUSH", "list", "value")
        assert await waiting == b"value"
        await pool.execute_command("SET", "key", "new", "PX", 60_000)
        assert await new.execute_command("GET", "key") == b"new"
        assert await old.execute_command("GET", "key") is None


async def pop(pool: Redis, name: str) -> bytes:
    """Wait for an element of a list. A command may block for less than 4 seconds."""
    while (found := await pool.execute_command("BLPOP", name, 3)) is None:
        pass
    return found[1]


async def is_announced(recorder: Recorder) -> bool:
    return bool(recorder.messages)


async def has_clients(server: Redis, count: int) -> bool:
    listed: list[dict[str, str]] = await server.execute_command("CLIENT LIST")
    found = [client for client in listed if client["name"] == "client"]
    return len(found) >= count if count else not found


async def start_failover(pair: SentinelPair) -> bool:
    sentinel = connect(f"redis://127.0.0.1:{pair.sentinel.port}", name="test", max_connections=1)
    try:
        return bool(await sentinel.execute_command("SENTINEL", "FAILOVER", SERVICE))
    except RedisError:  # it does not know yet that the replica can be promoted
        return False
    finally:
        await sentinel.aclose()


async def test_newest_configuration_determines_the_primary(valkey: Valkey) -> None:
    async with AsyncExitStack() as stack:
        ports: list[int] = []
        for primary_port, epoch in ((1, 3), (valkey.port, 4), (2, 2)):
            serve = partial(_serve_sentinel, primary_port, epoch=epoch)
            server = await stack.enter_async_context(
                await asyncio.start_server(serve, "127.0.0.1", 0)
            )
            ports.append(server.sockets[0].getsockname()[1])
        hosts = ",".join(f"127.0.0.1:{port}" for port in ports)
        pool = connect(f"sentinel://{hosts}/service/0", name="test", max_connections=1)

        assert await pool.execute_command("PING")
        await pool.aclose()


async def test_connections_of_all_pools_share_one_request(valkey: Valkey) -> None:
    asked = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        await _serve_sentinel(valkey.port, reader, writer, epoch=1)

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        url = f"sentinel://127.0.0.1:{server.sockets[0].getsockname()[1]}/service/0"
        pools = [connect(url, name="test", max_connections=2) for _ in range(3)]
        await asyncio.gather(*(pool.execute_command("PING") for pool in pools * 2))
        assert asked == 1

        sentinels: Sentinels = connection_options(url)["sentinels"]
        joined = asyncio.create_task(sentinels.primary())
        await asyncio.sleep(0)
        changed = asyncio.create_task(sentinels.primary(changed=True))
        assert await joined == await changed == ("127.0.0.1", valkey.port)
        assert asked == 3
        for pool in pools:
            await pool.aclose()


async def test_min_replicas_are_missing_until_they_are_set(pair: SentinelPair) -> None:
    primary, replica = pair.primary.client(), pair.replica.client()

    async def accepts(server: Redis) -> bool:
        return accepts_unreplicated_writes(await server.execute_command("INFO", "replication"))

    assert await accepts(primary)
    assert not await accepts(replica)
    await primary.execute_command("CONFIG", "SET", "min-replicas-to-write", 1)
    assert not await accepts(primary)
    for client in (primary, replica):
        await client.aclose()


async def read_key(pool: Redis) -> bytes | None:
    try:
        return await pool.execute_command("GET", "key")
    except REDIS_UNAVAILABLE:
        return None


async def test_unreachable_sentinel_is_skipped(pair: SentinelPair) -> None:
    pool = connect(pair.url.replace("//", "//127.0.0.1:1,"), name="test", max_connections=2)

    assert await pool.execute_command("PING")
    await pool.aclose()


@pytest.mark.parametrize("service", ["unknown", "mamba"])
async def test_pool_fails_if_no_sentinel_has_a_primary(pair: SentinelPair, service: str) -> None:
    url = {
        "unknown": pair.url.replace("/mamba/", "/unknown/"),
        "mamba": "sentinel://127.0.0.1:1/mamba/0",
    }[service]
    pool = connect(url, name="test", max_connections=2)

    with pytest.raises(REDIS_UNAVAILABLE, match=rf"No Sentinel has a primary for '{service}'"):
        async with asyncio.timeout(10):
            await pool.execute_command("PING")
    await pool.aclose()


async def test_tls_is_used_for_sentinels_and_primary(valkey: Valkey, tmp_path: Path) -> None:
    tls = self_signed(tmp_path)
    async with (
        Proxy(valkey.port, tls=tls) as proxy,
        await asyncio.start_server(
            partial(_serve_sentinel, proxy.port), "127.0.0.1", 0, ssl=tls
        ) as server,
    ):
        port = server.sockets[0].getsockname()[1]
        url = f"sentinels://127.0.0.1:{port}/service/0?ssl_ca_certs={tmp_path}/cert.pem"
        pool = connect(url, name="test", max_connections=2)
        assert await pool.execute_command("PING")
        await pool.aclose()
        async with Subscriber(url, name="test") as subscriber:
            listener = Recorder()
            subscriber.add(CHANNEL, listener)
            await listener.has_gaps(1)


async def _serve_sentinel(
    primary_port: int,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    *,
    epoch: int = 1,
) -> None:
    """Respond as a Sentinel with one primary."""
    commands = hiredis.Reader()
    while data := await reader.read(65_536):
        commands.feed(data)
        while (command := commands.gets()) is not False:
            port = b"$%d\r\n%d\r\n" % (len(str(primary_port)), primary_port)
            replies = {
                b"GET-MASTER-ADDR-BY-NAME": b"*2\r\n$9\r\n127.0.0.1\r\n" + port,
                b"MASTER": b"*2\r\n$12\r\nconfig-epoch\r\n$1\r\n%d\r\n" % epoch,
            }
            writer.write(replies.get(cast("list[bytes]", command)[1], b"+OK\r\n"))
    writer.close()


def test_url_sets_sentinels_service_and_both_credentials() -> None:
    options = connection_options(
        "sentinels://me:s3cret%2F@one,two:7000,[::1]:7001/service/3"
        "?ssl_ca_certs=/ca.pem&sentinel_password=other"
    )

    sentinels: Sentinels = options.pop("sentinels")
    assert sentinels.addresses == (("one", 26379), ("two", 7000), ("::1", 7001))
    assert (sentinels.service, sentinels.tls) == ("service", True)
    assert sentinels.options == {"ssl_ca_certs": "/ca.pem", "password": "other"}
    assert "other" not in repr(sentinels)
    primary = {name: options[name] for name in ("username", "password", "db", "ssl_ca_certs")}
    assert primary == {
        "username": "me",
        "password": "s3cret/",
        "db": 3,
        "ssl_ca_certs": "/ca.pem",
    }


@pytest.mark.parametrize("url", ["sentinel:///service", "sentinel://one:26379", "sentinel://one/"])
def test_url_without_sentinel_or_service_is_rejected(url: str) -> None:
    with pytest.raises(ValueError, match="needs a Sentinel and a service"):
        connection_options(url)
