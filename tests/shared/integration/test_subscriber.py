import asyncio
import signal
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from shared.redis.client import REDIS_UNAVAILABLE, Redis, connect
from shared.redis.subscriber import Subscriber
from tests.support.auth.certificate import self_signed
from tests.support.fakes.proxy import Proxy
from tests.support.fakes.recorder import Recorder
from tests.support.processes import Valkey
from tests.support.wait import until

CHANNEL = "news"


@pytest.fixture
async def private_valkey(tmp_path: Path) -> AsyncGenerator[Valkey]:
    """A server with a Unix socket, which a test may reconfigure and stop."""
    valkey = SocketValkey(tmp_path / "valkey.sock")
    valkey.start()
    await valkey.ready()
    yield valkey
    await valkey.stop()


class SocketValkey(Valkey):
    def __init__(self, path: Path) -> None:
        super().__init__()
        self._command = (*self._command, "--unixsocket", str(path))


@pytest.fixture
async def admin(private_valkey: Valkey) -> AsyncGenerator[Redis]:
    client = private_valkey.client()
    await client.execute_command("PING")
    yield client
    await client.aclose()


@asynccontextmanager
async def listening(url: str) -> AsyncGenerator[Recorder]:
    async with Subscriber(url, name="test-subscriber") as subscriber:
        listener = Recorder()
        subscriber.add(CHANNEL, listener)
        yield listener


async def receives(listener: Recorder, redis: Redis) -> bool:
    """Publish a message and return whether the listener receives only this one."""
    await listener.has_gaps(1)
    await redis.execute_command("PUBLISH", CHANNEL, "message")
    return await listener.all_before(redis, CHANNEL) == [b"message"]


async def subscribers(redis: Redis) -> int:
    return (await redis.execute_command("PUBSUB", "NUMSUB", CHANNEL))[1]


async def is_connected(redis: Redis) -> bool:
    return b"name=test-subscriber" in await redis.execute_command("CLIENT", "LIST")


# Addresses, credentials and TLS


async def test_subscriber_connects_by_host_and_port(valkey: Valkey, redis: Redis) -> None:
    async with listening(valkey.url) as listener:
        assert await receives(listener, redis)


async def test_password_of_the_url_is_used(private_valkey: Valkey, admin: Redis) -> None:
    await admin.execute_command("CONFIG", "SET", "requirepass", "s3cret/?")

    async with listening(f"redis://:s3cret%2F%3F@127.0.0.1:{private_valkey.port}/0") as listener:
        assert await receives(listener, admin)


async def test_user_and_password_of_the_url_are_used(private_valkey: Valkey, admin: Redis) -> None:
    await admin.execute_command("ACL", "SETUSER", "reader", "on", ">s3cret", "+@all", "&*")
    await admin.execute_command("ACL", "SETUSER", "default", "resetpass", ">other")

    async with listening(f"redis://reader:s3cret@127.0.0.1:{private_valkey.port}") as listener:
        assert await receives(listener, admin)


async def test_rejected_password_is_retried(private_valkey: Valkey, admin: Redis) -> None:
    await admin.execute_command("CONFIG", "SET", "requirepass", "old")

    async def rejected_twice() -> bool:
        errors = await admin.execute_command("INFO", "errorstats")
        return errors.get("errorstat_WRONGPASS", {"count": 0})["count"] >= 2

    async with listening(f"redis://:new@127.0.0.1:{private_valkey.port}") as listener:
        await until(rejected_twice)
        assert not await is_connected(admin)
        await admin.execute_command("CONFIG", "SET", "requirepass", "new")

        assert await receives(listener, admin)


async def test_subscriber_connects_by_unix_socket(admin: Redis, tmp_path: Path) -> None:
    await admin.execute_command("CONFIG", "SET", "requirepass", "s3cret")

    async with listening(f"unix://:s3cret@{tmp_path}/valkey.sock?db=0") as listener:
        assert await receives(listener, admin)


@pytest.mark.parametrize("query", ["ssl_ca_certs={folder}/cert.pem", "ssl_cert_reqs=none"])
async def test_tls_parameters_apply_to_pool_and_subscriber(
    valkey: Valkey, redis: Redis, tmp_path: Path, query: str
) -> None:
    async with Proxy(valkey.port, tls=self_signed(tmp_path)) as proxy:
        url = f"rediss://127.0.0.1:{proxy.port}/0?{query.format(folder=tmp_path)}"
        pool = connect(url, name="test", max_connections=2)
        assert await pool.execute_command("PING")
        await pool.aclose()

        async with listening(url) as listener:
            assert await receives(listener, redis)


async def test_client_certificate_of_the_url_is_sent(
    valkey: Valkey, redis: Redis, tmp_path: Path
) -> None:
    tls, certificate = self_signed(tmp_path), f"{tmp_path}/cert.pem"
    tls.load_verify_locations(certificate)
    tls.verify_mode = ssl.CERT_REQUIRED
    async with Proxy(valkey.port, tls=tls) as proxy:
        url = f"rediss://127.0.0.1:{proxy.port}/0?ssl_ca_certs={certificate}"
        with pytest.raises(REDIS_UNAVAILABLE):
            await ping(url)
        url += f"&ssl_certfile={certificate}&ssl_keyfile={tmp_path}/key.pem"
        assert await ping(url)

        async with listening(url) as listener:
            assert await receives(listener, redis)


async def ping(url: str) -> object:
    pool = connect(url, name="test", max_connections=2)
    try:
        return await pool.execute_command("PING")
    finally:
        await pool.aclose()


async def test_untrusted_server_certificate_is_rejected(
    valkey: Valkey, redis: Redis, tmp_path: Path
) -> None:
    async with (
        Proxy(valkey.port, tls=self_signed(tmp_path)) as proxy,
        listening(f"rediss://127.0.0.1:{proxy.port}") as listener,
    ):
        await rejected_handshakes(proxy)

        assert not await is_connected(redis)
        assert listener.gaps == 0
        assert proxy.accepted == 0


async def rejected_handshakes(proxy: Proxy) -> None:
    async def probe() -> bool:
        return proxy.refused >= 2

    await until(probe)


# Gaps


async def test_each_subscription_is_reported_as_a_gap(valkey: Valkey, redis: Redis) -> None:
    async with listening(valkey.url) as listener:
        await listener.has_gaps(1)
        await redis.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        await listener.has_gaps(2)

        assert await receives(listener, redis)
        assert listener.gaps == 2


async def test_gap_of_a_new_listener_reaches_only_this_listener(
    valkey: Valkey, redis: Redis
) -> None:
    first, second = Recorder(), Recorder()
    async with Subscriber(valkey.url, name="test-subscriber") as subscriber:
        subscriber.add(CHANNEL, first)
        await first.has_gaps(1)
        subscriber.add(CHANNEL, second)

        assert (first.gaps, second.gaps) == (1, 1)
        assert await receives(first, redis)
        assert second.messages == first.messages


async def test_listener_added_while_disconnected_gets_its_gap_later(
    valkey: Valkey, redis: Redis
) -> None:
    first, second = Recorder(), Recorder()
    async with (
        Proxy(valkey.port) as proxy,
        Subscriber(f"redis://127.0.0.1:{proxy.port}", name="test-subscriber") as subscriber,
    ):
        subscriber.add(CHANNEL, first)
        await first.has_gaps(1)
        proxy.drop_connections()
        await proxy.has_accepted(2)
        subscriber.add(CHANNEL, second)
        assert (first.gaps, second.gaps) == (1, 0)

        proxy.resume()
        assert await receives(second, redis)

        assert (first.gaps, second.gaps) == (2, 1)


async def test_listener_gets_only_messages_of_its_channel(valkey: Valkey, redis: Redis) -> None:
    news, other = Recorder(), Recorder()
    async with Subscriber(valkey.url, name="test-subscriber") as subscriber:
        subscriber.add(CHANNEL, news)
        subscriber.add("other", other)
        await asyncio.gather(news.has_gaps(1), other.has_gaps(1))
        await redis.execute_command("PUBLISH", "other", "for the other")

        assert await receives(news, redis)
        assert await other.all_before(redis, "other") == [b"for the other"]


async def test_message_can_contain_any_bytes(valkey: Valkey, redis: Redis) -> None:
    message = bytes(range(256)) * 10_000
    async with listening(valkey.url) as listener:
        await listener.has_gaps(1)
        await redis.execute_command("PUBLISH", CHANNEL, message)

        assert await listener.all_before(redis, CHANNEL) == [message]


async def test_channel_without_listeners_is_unsubscribed(valkey: Valkey, redis: Redis) -> None:
    listener, other = Recorder(), Recorder()
    async with Subscriber(valkey.url, name="test-subscriber") as subscriber:
        subscriber.add("other", other)
        await other.has_gaps(1)
        for _ in range(20):
            subscriber.add(CHANNEL, listener)
            subscriber.remove(CHANNEL, listener)
        subscriber.add("last", listener)
        await listener.has_gaps(1)

        assert await subscribers(redis) == 0
        subscribed = subscriber._subscribed  # pyright: ignore[reportPrivateUsage]
        assert subscribed == {b"other", b"last"}


async def test_listener_added_again_receives_messages(valkey: Valkey, redis: Redis) -> None:
    listener = Recorder()
    async with Subscriber(valkey.url, name="test-subscriber") as subscriber:
        for _ in range(20):
            subscriber.add(CHANNEL, listener)
            subscriber.remove(CHANNEL, listener)
        subscriber.add(CHANNEL, listener)
        await listener.has_gaps(1)

        async def subscribed() -> bool:
            return await subscribers(redis) == 1

        await until(subscribed)
        assert await receives(listener, redis)


# Reconnecting


async def test_subscriber_waits_for_a_server_that_starts_later() -> None:
    valkey = Valkey()
    async with listening(valkey.url) as listener:
        valkey.start()
        await valkey.ready()
        redis = valkey.client()
        try:
            assert await receives(listener, redis)
        finally:
            await redis.aclose()
    await valkey.stop()


async def test_subscriber_reconnects_after_a_server_restart() -> None:
    valkey = Valkey()
    valkey.start()
    await valkey.ready()
    async with listening(valkey.url) as listener:
        await listener.has_gaps(1)
        await valkey.kill()
        valkey.start()
        await valkey.ready()
        await listener.has_gaps(2)
        redis = valkey.client()
        try:
            assert await receives(listener, redis)
        finally:
            await redis.aclose()
    await valkey.stop()


@pytest.fixture
def short_pings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.redis.push_connection._PING_SECONDS", 0.05)


@pytest.fixture
def only_pings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make commands wait for a minute, so that only pings find half-open connections.

    The kernel would find them after 15 seconds.
    """
    monkeypatch.setattr("shared.redis.client.SILENCE_SECONDS", 60)


@pytest.mark.usefixtures("only_pings")
async def test_half_open_connection_is_found_by_a_ping(valkey: Valkey, redis: Redis) -> None:
    async with (
        Proxy(valkey.port) as proxy,
        listening(f"redis://127.0.0.1:{proxy.port}") as listener,
    ):
        await listener.has_gaps(1)
        proxy.freeze_connections()
        async with asyncio.timeout(10):
            await listener.has_gaps(2)

        assert proxy.accepted == 2
        assert await receives(listener, redis)


@pytest.mark.usefixtures("only_pings")
async def test_ping_finds_all_half_open_connections(valkey: Valkey) -> None:
    async with Proxy(valkey.port) as proxy:
        url = f"redis://127.0.0.1:{proxy.port}/0"
        clients = [connect(url, name="", max_connections=1) for _ in range(2)]
        async with listening(url) as listener:
            await asyncio.gather(*(client.execute_command("PING") for client in clients))
            await listener.has_gaps(1)
            proxy.freeze_replies()
            async with asyncio.timeout(10):
                await asyncio.gather(*(client.execute_command("PING") for client in clients))

            assert proxy.accepted == 6
        for client in clients:
            await client.aclose()


@pytest.mark.usefixtures("only_pings")
async def test_connection_that_breaks_while_it_opens_is_replaced(private_valkey: Valkey) -> None:
    """A server is silent, and all connections are half-open when it continues."""
    async with Proxy(private_valkey.port) as proxy:
        url = f"redis://127.0.0.1:{proxy.port}/0"
        client = connect(url, name="", max_connections=1)
        async with listening(url) as listener:
            await client.execute_command("PING")
            await listener.has_gaps(1)
            private_valkey.send(signal.SIGSTOP)
            try:
                await proxy.has_accepted(4)  # after the second one to compare, a new attempt
                proxy.freeze_replies()
            finally:
                private_valkey.send(signal.SIGCONT)
            async with asyncio.timeout(10):
                await listener.has_gaps(2)
                await client.execute_command("PING")
        await client.aclose()


@pytest.mark.usefixtures("short_pings")
async def test_connection_to_a_slow_server_is_kept(private_valkey: Valkey, admin: Redis) -> None:
    async with (
        Proxy(private_valkey.port) as proxy,
        listening(f"redis://127.0.0.1:{proxy.port}") as listener,
    ):
        await listener.has_gaps(1)
        private_valkey.send(signal.SIGSTOP)
        await proxy.has_accepted(2)  # the subscriber compares with a second connection
        private_valkey.send(signal.SIGCONT)

        assert await receives(listener, admin)
        assert listener.gaps == 1


@pytest.mark.usefixtures("short_pings")
async def test_connection_with_high_latency_is_kept(valkey: Valkey, redis: Redis) -> None:
    async with (
        Proxy(valkey.port) as proxy,
        listening(f"redis://127.0.0.1:{proxy.port}") as listener,
    ):
        await listener.has_gaps(1)
        proxy.delay = 0.1
        await proxy.has_accepted(4)
        proxy.delay = 0.0

        assert await receives(listener, redis)
        assert listener.gaps == 1


@pytest.mark.usefixtures("short_pings")
async def test_idle_connection_is_kept(valkey: Valkey, redis: Redis) -> None:
    async with (
        Proxy(valkey.port) as proxy,
        listening(f"redis://127.0.0.1:{proxy.port}") as listener,
    ):
        await listener.has_gaps(1)
        await wait_for_pings(redis, 20)

        assert listener.gaps == 1


async def wait_for_pings(redis: Redis, times: int) -> None:
    """Wait for a number of pings."""
    await redis.execute_command("CONFIG", "RESETSTAT")

    async def probe() -> bool:
        stats = await redis.execute_command("INFO", "commandstats")
        return stats.get("cmdstat_ping", {}).get("calls", 0) >= times

    await until(probe)


async def test_leaving_the_context_closes_the_connection(valkey: Valkey, redis: Redis) -> None:
    async with listening(valkey.url) as listener:
        await listener.has_gaps(1)
        assert await is_connected(redis)

    async def gone() -> bool:
        return not await is_connected(redis)

    await until(gone)


async def test_leaving_the_context_does_not_wait_for_the_server() -> None:
    async with asyncio.timeout(5), listening("redis://127.0.0.1:1/0") as listener:
        pass

    assert listener.gaps == 0
