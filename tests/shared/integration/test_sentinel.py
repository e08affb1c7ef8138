"""Connections to the primary that Sentinels report, before and after a failover."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import cast

import hiredis
import pytest

from shared.redis.client import REDIS_UNAVAILABLE, Redis, connect, connection_options
from shared.redis.sentinel import Sentinels
from shared.redis.subscriber import Subscriber
from tests.support.auth.certificate import self_signed
from tests.support.fakes.proxy import Proxy
from tests.support.fakes.recorder import Recorder
from tests.support.processes import Valkey
from tests.support.redis_sentinel import SentinelPair, open_sentinel_pair
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
    primary_port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Respond as a Sentinel with one primary."""
    commands = hiredis.Reader()
    while data := await reader.read(65_536):
        commands.feed(data)
        while (command := commands.gets()) is not False:
            port = b"$%d\r\n%d\r\n" % (len(str(primary_port)), primary_port)
            address = b"*2\r\n$9\r\n127.0.0.1\r\n" + port
            is_query = cast("list[bytes]", command)[0] == b"SENTINEL"
            writer.write(address if is_query else b"+OK\r\n")
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
