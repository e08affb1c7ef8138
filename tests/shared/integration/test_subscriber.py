import asyncio
import datetime as dt
import ipaddress
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from shared.redis.client import REDIS_UNAVAILABLE, Redis, connect
from shared.redis.subscriber import Subscriber
from tests.support.fakes.proxy import Proxy
from tests.support.fakes.recorder import Recorder
from tests.support.processes import Valkey
from tests.support.wait import until

CHANNEL = "news"


@pytest.fixture
async def own(tmp_path: Path) -> AsyncGenerator[Valkey]:
    """A server that a test may lock, stop and reach through a socket of its own."""
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
async def admin(own: Valkey) -> AsyncGenerator[Redis]:
    client = own.client()
    await client.execute_command("PING")
    yield client
    await client.aclose()


@asynccontextmanager
async def listening(url: str) -> AsyncGenerator[Recorder]:
    async with Subscriber(url, name="test-subscriber") as subscriber:
        listener = Recorder()
        subscriber.add(CHANNEL, listener)
        yield listener


async def hears(listener: Recorder, redis: Redis) -> bool:
    await listener.has_gaps(1)
    await redis.execute_command("PUBLISH", CHANNEL, "something new")
    return await listener.all_before(redis, CHANNEL) == [b"something new"]


async def subscribers(redis: Redis) -> int:
    return (await redis.execute_command("PUBSUB", "NUMSUB", CHANNEL))[1]


async def is_connected(redis: Redis) -> bool:
    return b"name=test-subscriber" in await redis.execute_command("CLIENT", "LIST")


# Ways to a server


async def test_a_plain_address(valkey: Valkey, redis: Redis) -> None:
    async with listening(valkey.url) as listener:
        assert await hears(listener, redis)


async def test_a_password(own: Valkey, admin: Redis) -> None:
    await admin.execute_command("CONFIG", "SET", "requirepass", "s3cret/?")

    async with listening(f"redis://:s3cret%2F%3F@127.0.0.1:{own.port}/0") as listener:
        assert await hears(listener, admin)


async def test_a_user_and_a_password(own: Valkey, admin: Redis) -> None:
    await admin.execute_command("ACL", "SETUSER", "reader", "on", ">s3cret", "+@all", "&*")
    await admin.execute_command("ACL", "SETUSER", "default", "resetpass", ">other")

    async with listening(f"redis://reader:s3cret@127.0.0.1:{own.port}") as listener:
        assert await hears(listener, admin)


async def test_a_wrong_password_is_tried_until_it_is_right(own: Valkey, admin: Redis) -> None:
    await admin.execute_command("CONFIG", "SET", "requirepass", "old")

    async def refused_twice() -> bool:
        errors = await admin.execute_command("INFO", "errorstats")
        return errors.get("errorstat_WRONGPASS", {"count": 0})["count"] >= 2

    async with listening(f"redis://:new@127.0.0.1:{own.port}") as listener:
        await until(refused_twice)
        assert not await is_connected(admin)
        await admin.execute_command("CONFIG", "SET", "requirepass", "new")

        assert await hears(listener, admin)


async def test_a_unix_socket(admin: Redis, tmp_path: Path) -> None:
    await admin.execute_command("CONFIG", "SET", "requirepass", "s3cret")

    async with listening(f"unix://:s3cret@{tmp_path}/valkey.sock?db=0") as listener:
        assert await hears(listener, admin)


@pytest.mark.parametrize("query", ["ssl_ca_certs={folder}/cert.pem", "ssl_cert_reqs=none"])
async def test_tls_as_the_pool_understands_it(
    valkey: Valkey, redis: Redis, tmp_path: Path, query: str
) -> None:
    async with Proxy(valkey.port, tls=self_signed(tmp_path)) as proxy:
        url = f"rediss://127.0.0.1:{proxy.port}/0?{query.format(folder=tmp_path)}"
        pool = connect(url, name="test", max_connections=2)
        assert await pool.execute_command("PING")
        await pool.aclose()

        async with listening(url) as listener:
            assert await hears(listener, redis)


async def test_a_certificate_of_ones_own(valkey: Valkey, redis: Redis, tmp_path: Path) -> None:
    tls, own = self_signed(tmp_path), f"{tmp_path}/cert.pem"
    tls.load_verify_locations(own)
    tls.verify_mode = ssl.CERT_REQUIRED
    async with Proxy(valkey.port, tls=tls) as proxy:
        url = f"rediss://127.0.0.1:{proxy.port}/0?ssl_ca_certs={own}"
        with pytest.raises(REDIS_UNAVAILABLE):
            await ping(url)
        url += f"&ssl_certfile={own}&ssl_keyfile={tmp_path}/key.pem"
        assert await ping(url)

        async with listening(url) as listener:
            assert await hears(listener, redis)


async def ping(url: str) -> object:
    pool = connect(url, name="test", max_connections=2)
    try:
        return await pool.execute_command("PING")
    finally:
        await pool.aclose()


async def test_a_certificate_that_nobody_vouches_for_is_refused(
    valkey: Valkey, redis: Redis, tmp_path: Path
) -> None:
    async with (
        Proxy(valkey.port, tls=self_signed(tmp_path)) as proxy,
        listening(f"rediss://127.0.0.1:{proxy.port}") as listener,
    ):
        await refused(proxy)

        assert not await is_connected(redis)
        assert listener.gaps == 0
        assert proxy.accepted == 0


async def refused(proxy: Proxy) -> None:
    async def probe() -> bool:
        return proxy.refused >= 2

    await until(probe)


def self_signed(folder: Path) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context


# Gaps


async def test_each_subscription_is_announced_as_a_gap(valkey: Valkey, redis: Redis) -> None:
    async with listening(valkey.url) as listener:
        await listener.has_gaps(1)
        await redis.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        await listener.has_gaps(2)

        assert await hears(listener, redis)
        assert listener.gaps == 2


async def test_a_listener_that_joins_a_channel_is_told_of_its_gap_alone(
    valkey: Valkey, redis: Redis
) -> None:
    first, second = Recorder(), Recorder()
    async with Subscriber(valkey.url, name="test-subscriber") as subscriber:
        subscriber.add(CHANNEL, first)
        await first.has_gaps(1)
        subscriber.add(CHANNEL, second)

        assert (first.gaps, second.gaps) == (1, 1)
        assert await hears(first, redis)
        assert second.messages == first.messages


async def test_a_listener_that_joins_while_the_connection_is_away_has_to_wait(
    valkey: Valkey, redis: Redis
) -> None:
    first, second = Recorder(), Recorder()
    async with (
        Proxy(valkey.port) as proxy,
        Subscriber(f"redis://127.0.0.1:{proxy.port}", name="test-subscriber") as subscriber,
    ):
        subscriber.add(CHANNEL, first)
        await first.has_gaps(1)
        proxy.hang_up()
        await proxy.has_accepted(2)
        subscriber.add(CHANNEL, second)
        assert (first.gaps, second.gaps) == (1, 0)

        proxy.answer()
        assert await hears(second, redis)

        assert (first.gaps, second.gaps) == (2, 1)


async def test_channels_do_not_mix(valkey: Valkey, redis: Redis) -> None:
    news, other = Recorder(), Recorder()
    async with Subscriber(valkey.url, name="test-subscriber") as subscriber:
        subscriber.add(CHANNEL, news)
        subscriber.add("other", other)
        await asyncio.gather(news.has_gaps(1), other.has_gaps(1))
        await redis.execute_command("PUBLISH", "other", "for the other")

        assert await hears(news, redis)
        assert await other.all_before(redis, "other") == [b"for the other"]


async def test_a_message_may_hold_any_bytes(valkey: Valkey, redis: Redis) -> None:
    message = bytes(range(256)) * 10_000
    async with listening(valkey.url) as listener:
        await listener.has_gaps(1)
        await redis.execute_command("PUBLISH", CHANNEL, message)

        assert await listener.all_before(redis, CHANNEL) == [message]


async def test_a_channel_that_was_left_is_forgotten(valkey: Valkey, redis: Redis) -> None:
    listener, stays = Recorder(), Recorder()
    async with Subscriber(valkey.url, name="test-subscriber") as subscriber:
        subscriber.add("stays", stays)
        await stays.has_gaps(1)
        for _ in range(20):
            subscriber.add(CHANNEL, listener)
            subscriber.remove(CHANNEL, listener)
        subscriber.add("last", listener)
        await listener.has_gaps(1)

        assert await subscribers(redis) == 0
        remembered = subscriber._subscribed  # pyright: ignore[reportPrivateUsage]
        assert remembered == {b"stays", b"last"}


async def test_a_channel_that_was_left_and_joined_again_is_heard(
    valkey: Valkey, redis: Redis
) -> None:
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
        assert await hears(listener, redis)


# Trouble


async def test_a_server_that_comes_later_is_found() -> None:
    valkey = Valkey()
    async with listening(valkey.url) as listener:
        valkey.start()
        await valkey.ready()
        redis = valkey.client()
        try:
            assert await hears(listener, redis)
        finally:
            await redis.aclose()
    await valkey.stop()


async def test_a_server_that_restarts_is_found_again() -> None:
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
            assert await hears(listener, redis)
        finally:
            await redis.aclose()
    await valkey.stop()


@pytest.fixture
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.redis.push_connection._PING_SECONDS", 0.05)
    monkeypatch.setattr("shared.redis.push_connection._SILENCE_SECONDS", 0.3)


@pytest.mark.usefixtures("impatience")
async def test_a_connection_that_has_gone_silent_is_replaced(valkey: Valkey, redis: Redis) -> None:
    async with (
        Proxy(valkey.port) as proxy,
        listening(f"redis://127.0.0.1:{proxy.port}") as listener,
    ):
        await listener.has_gaps(1)
        proxy.fall_silent()
        await listener.has_gaps(2)

        assert proxy.accepted == 2
        assert await hears(listener, redis)


@pytest.mark.usefixtures("impatience")
async def test_a_connection_on_which_nothing_is_published_is_kept(
    valkey: Valkey, redis: Redis
) -> None:
    async with (
        Proxy(valkey.port) as proxy,
        listening(f"redis://127.0.0.1:{proxy.port}") as listener,
    ):
        await listener.has_gaps(1)
        await pinged(redis, 20)

        assert proxy.accepted == 1
        assert listener.gaps == 1


async def pinged(redis: Redis, times: int) -> None:
    """So many pings later; at twenty in a second, longer than a silence may last."""
    await redis.execute_command("CONFIG", "RESETSTAT")

    async def probe() -> bool:
        stats = await redis.execute_command("INFO", "commandstats")
        return stats.get("cmdstat_ping", {}).get("calls", 0) >= times

    await until(probe)


async def test_leaving_closes_the_connection(valkey: Valkey, redis: Redis) -> None:
    async with listening(valkey.url) as listener:
        await listener.has_gaps(1)
        assert await is_connected(redis)

    async def gone() -> bool:
        return not await is_connected(redis)

    await until(gone)


async def test_leaving_does_not_wait_for_a_server_that_is_away() -> None:
    async with asyncio.timeout(1), listening("redis://127.0.0.1:1/0") as listener:
        pass

    assert listener.gaps == 0
