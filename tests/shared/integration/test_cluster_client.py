"""The cluster client: routing, moving slots, and the loss of nodes."""

import asyncio
import signal
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing
from pathlib import Path

import pytest

from shared.redis import cluster_client
from shared.redis.bounded_client import BoundedClient
from shared.redis.client import REDIS_UNAVAILABLE, Redis
from shared.redis.cluster_client import ClusterClient
from shared.redis.confirmation import Confirmation
from shared.redis.hash_slots import Address, Redirect, SlotMap, hash_tag_of, slot_of
from shared.redis.scripts import Key, redis_script
from shared.runs.stores import Stores, open_stores
from shared.settings import RedisSettings, Settings
from shared.streams.event_stream import Append
from tests.support.fakes.runs import new_run
from tests.support.processes import Valkey
from tests.support.redis_cluster import RedisCluster, assign_slot, migrate, open_cluster
from tests.support.wait import until

#: Keys on all three nodes.
KEYS = [f"{{{number}}}" for number in range(30)]


@redis_script("return {redis.call('GET', first), redis.call('GET', second)}")
def read_pair(*, first: Key, second: Key) -> list[bytes | None]: ...


@pytest.fixture
async def client(cluster: RedisCluster) -> AsyncGenerator[ClusterClient]:
    async with aclosing(cluster.client()) as client:
        yield client


@pytest.fixture
async def private_cluster(tmp_path: Path) -> AsyncGenerator[RedisCluster]:
    """A cluster whose nodes a test may stop. Its first primary has a replica."""
    async with open_cluster(tmp_path, replicas=1) as cluster:
        yield cluster


async def write(client: ClusterClient, key: str, text: str) -> None:
    await client.execute_command("SET", key, text, "PX", 60_000)


async def key_at(client: ClusterClient, address: Address) -> str:
    """Return a key that the node owns."""
    await client.refresh()
    return next(key for key in KEYS if client.owner(key) == address)


async def test_command_is_sent_to_the_owner_of_its_key(client: ClusterClient) -> None:
    for key in KEYS:
        await write(client, key, key)

    assert {client.owner(key) for key in KEYS} == set(client.slots.nodes)
    for key in KEYS:
        assert await client.execute_command("GET", key) == key.encode()


async def test_pipeline_over_all_nodes_replies_in_order(client: ClusterClient) -> None:
    async with client.pipeline(transaction=False) as pipe:
        for key in KEYS:
            pipe.execute_command("SET", key, key, "PX", 60_000)
        pipe.execute_command("LPUSH", KEYS[0], "no list")
        *written, rejected = await pipe.execute(raise_on_error=False)

    assert all(written)
    assert str(rejected).startswith("WRONGTYPE")


async def test_pipeline_raises_its_first_error_by_default(client: ClusterClient) -> None:
    await write(client, "name", "text")
    async with client.pipeline(transaction=False) as pipe:
        pipe.execute_command("LPUSH", "name", "no list")
        with pytest.raises(Exception, match="WRONGTYPE"):
            await pipe.execute()


async def test_transactional_pipeline_is_rejected(client: ClusterClient) -> None:
    with pytest.raises(ValueError, match="no transaction"):
        client.pipeline(transaction=True)


async def test_script_is_loaded_into_each_node_on_first_use(client: ClusterClient) -> None:
    await client.each("SCRIPT", "FLUSH")
    for key in KEYS:
        await write(client, key, "a")

        assert await read_pair(client, first=key, second=f"{key}:none") == [b"a", None]


async def test_client_follows_a_moved_slot(cluster: RedisCluster, client: ClusterClient) -> None:
    await write(client, "name", "text")
    changes: list[None] = []
    client.slots.on_change.append(lambda: changes.append(None))

    target = await migrate(cluster, "name")

    assert await client.execute_command("GET", "name") == b"text"
    assert client.owner("name") == target.address
    assert changes


async def test_keys_of_a_migrating_slot_are_readable(
    cluster: RedisCluster, client: ClusterClient
) -> None:
    names = ["{moving}", "{moving}:1", "{moving}:2"]
    for key in names[:2]:
        await write(client, key, key)
    before = client.owner("{moving}")

    target = await migrate(cluster, "{moving}", finish=False)
    async with client.pipeline(transaction=False) as pipe:
        for key in names:
            pipe.execute_command("GET", key)
        found = await pipe.execute()
    await write(client, "{moving}:2", "new")

    assert found == [b"{moving}", b"{moving}:1", None]
    assert await read_pair(client, first="{moving}", second="{moving}:2") == [b"{moving}", b"new"]
    assert client.owner("{moving}") == before
    assert client.is_moving("{moving}")
    await assign_slot(cluster, slot_of("{moving}"), target)
    assert await client.execute_command("GET", "{moving}:2") == b"new"
    await until(lambda: _has_moved(client, "{moving}"))


async def test_confirmed_calls_to_a_node_that_owns_no_slot_yet(
    cluster: RedisCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Each node is taken to own no slot but that of "0", which only the source owns.
    monkeypatch.setattr(cluster_client, "_MAX_HASH_TAGS", 0)
    confirmation = Confirmation(replicas=0)
    client = ClusterClient(cluster.url, name="test", max_connections=2, confirmation=confirmation)
    async with aclosing(client):
        await client.refresh()
        key = next(key for key in KEYS if key != "{0}" and client.owner(key) == client.owner("0"))

        target = await migrate(cluster, key, finish=False)
        await write(client, key, "new")

        assert await client.execute_command("GET", key) == b"new"
        await assign_slot(cluster, slot_of(key), target)


async def _has_moved(client: ClusterClient, key: str) -> bool:
    await client.refresh()
    return not client.is_moving(key)


async def test_call_waits_for_keys_split_by_a_migration(
    cluster: RedisCluster, client: ClusterClient
) -> None:
    await write(client, "{split}", "a")
    target = await migrate(cluster, "{split}", finish=False)
    await client.each("CONFIG RESETSTAT")

    async def was_refused() -> bool:
        return "TRYAGAIN" in str(await client.each("INFO", "errorstats"))

    call = asyncio.create_task(read_pair(client, first="{split}", second="{split}:later"))
    await until(was_refused)

    await write(client, "{split}:later", "b")

    assert await call == [b"a", b"b"]
    await assign_slot(cluster, slot_of("{split}"), target)


async def test_call_fails_if_its_keys_stay_split(
    cluster: RedisCluster, client: ClusterClient
) -> None:
    await write(client, "{split}", "a")
    target = await migrate(cluster, "{split}", finish=False)

    with pytest.raises(REDIS_UNAVAILABLE, match=r"TRYAGAIN|ASK"):
        await read_pair(client, first="{split}", second="{split}:never")
    await assign_slot(cluster, slot_of("{split}"), target)


async def test_lost_node_fails_only_its_own_commands(private_cluster: RedisCluster) -> None:
    async with aclosing(private_cluster.client()) as client:
        lost = private_cluster.primaries[1]
        await client.refresh()
        lost_keys = [key for key in KEYS if client.owner(key) == lost.address]
        await lost.kill()

        async with client.pipeline(transaction=False) as pipe:
            for key in KEYS:
                pipe.execute_command("SET", key, "a", "PX", 60_000)
            replies = await pipe.execute(raise_on_error=False)

        results = zip(KEYS, replies, strict=True)
        failed = [key for key, reply in results if isinstance(reply, REDIS_UNAVAILABLE)]
        assert failed == lost_keys
        replies_by_node = await client.each("PING")
        failed_nodes = [node for node, reply in replies_by_node.items() if reply is not True]
        assert failed_nodes == [lost.address]

        lost.start()
        await until(lambda: _serves(client, lost_keys[0]), seconds=30)


async def test_client_follows_a_failover_of_a_dead_primary(
    private_cluster: RedisCluster,
) -> None:
    async with aclosing(private_cluster.client()) as client:
        key = await key_at(client, private_cluster.primaries[0].address)
        await write(client, key, "kept")
        await until(lambda: _is_replicated(private_cluster))

        await private_cluster.primaries[0].kill()

        await until(lambda: _serves(client, key), seconds=30)
        assert await client.execute_command("GET", key) == b"kept"
        assert client.owner(key) == private_cluster.replicas[0].address


async def test_client_follows_a_manual_failover(private_cluster: RedisCluster) -> None:
    async with aclosing(private_cluster.client()) as client:
        key = await key_at(client, private_cluster.primaries[0].address)
        await write(client, key, "kept")

        await private_cluster.replicas[0].ask("CLUSTER", "FAILOVER")

        async def taken_over() -> bool:
            await write(client, key, "kept")
            return client.owner(key) == private_cluster.replicas[0].address

        await until(taken_over, seconds=30)


async def _serves(client: Redis, key: str) -> bool:
    try:
        await client.execute_command("EXISTS", key)
    except REDIS_UNAVAILABLE:
        return False
    return True


async def _is_replicated(cluster: RedisCluster) -> bool:
    replica = cluster.replicas[0].client()
    async with aclosing(replica):
        return bool(await replica.execute_command("DBSIZE"))


async def test_hanging_node_does_not_delay_other_shards(private_cluster: RedisCluster) -> None:
    async with aclosing(private_cluster.client()) as client:
        stores = Stores(client, client, live_ttl=60, retention=60, cluster=client)
        runs = [new_run() for _ in range(40)]  # almost certainly on all shards
        for run in runs:
            await stores.runs.create(run)
            await stores.stream.take_over(run.id)
        shards = {run.id: stores.stream.shard(run.id) for run in runs}
        hanging = private_cluster.primaries[1]
        hanging.send(signal.SIGSTOP)

        async with asyncio.timeout(10):
            others = [run.id for run in runs if shards[run.id] != str(hanging.address)]
            assert 0 < len(others) < len(runs)
            verdicts = await stores.stream.append(*(Append(r, 1, 1, [b"a"]) for r in others))

        assert verdicts == [False] * len(others)
        hanging.send(signal.SIGCONT)


async def test_calls_to_a_hanging_node_do_not_delay_others(
    private_cluster: RedisCluster, redis: Redis
) -> None:
    settings = Settings(redis=RedisSettings(streams_url=private_cluster.url))
    async with AsyncExitStack() as stack:
        stores = open_stores(settings, redis, stack, name="", max_connections=4, bounded=True)
        client = stores.streams_redis
        async with aclosing(private_cluster.client()) as cluster:
            hanging, other = [
                await key_at(cluster, p.address) for p in private_cluster.primaries[:2]
            ]
        await client.execute_command("GET", other)
        private_cluster.primaries[0].send(signal.SIGSTOP)

        calls = [asyncio.create_task(client.execute_command("GET", hanging)) for _ in range(40)]
        await asyncio.sleep(0.1)
        async with asyncio.timeout(10):
            await asyncio.gather(*(client.execute_command("GET", other) for _ in range(40)))

        assert not any(call.done() for call in calls)
        private_cluster.primaries[0].send(signal.SIGCONT)
        await asyncio.gather(*calls)


async def test_client_follows_a_failover_of_a_hanging_primary(
    private_cluster: RedisCluster,
) -> None:
    async with aclosing(private_cluster.client()) as client:
        bounded = BoundedClient(client)
        key = await key_at(client, private_cluster.primaries[0].address)
        await write(client, key, "kept")
        await until(lambda: _is_replicated(private_cluster))

        private_cluster.primaries[0].send(signal.SIGSTOP)

        await until(lambda: _serves(bounded, key), seconds=30)
        assert client.owner(key) == private_cluster.replicas[0].address
        assert await bounded.execute_command("GET", key) == b"kept"


async def test_cluster_is_unavailable_if_no_seed_responds() -> None:
    client = ClusterClient("cluster://127.0.0.1:1,127.0.0.1:2", name="test", max_connections=1)

    async with aclosing(client):
        with pytest.raises(REDIS_UNAVAILABLE, match="No node of the cluster responds"):
            await client.each("PING")
        with pytest.raises(REDIS_UNAVAILABLE):
            await client.execute_command("GET", "name")


async def test_error_for_a_single_server_suggests_redis_scheme(valkey: Valkey) -> None:
    client = ClusterClient(valkey.url.replace("redis", "cluster"), name="test", max_connections=1)

    async with aclosing(client):
        with pytest.raises(REDIS_UNAVAILABLE, match="use redis://"):
            await client.each("PING")


async def test_unreachable_seed_is_skipped(cluster: RedisCluster) -> None:
    url = cluster.url.replace("//", "//127.0.0.1:1,")

    async with aclosing(ClusterClient(url, name="test", max_connections=2)) as client:
        assert len(await client.each("PING")) == 3


def test_url_sets_seeds_and_options_of_all_nodes() -> None:
    url = "clusters://me:s3cret%2F@one,two:7000,[::1]:7001/0?ssl_ca_certs=/ca.pem"

    client = ClusterClient(url, name="test", max_connections=2)

    assert client.seeds == [Address("one", 6379), Address("two", 7000), Address("::1", 7001)]
    options = client.options
    assert (options["username"], options["password"]) == ("me", "s3cret/")
    assert options["ssl_ca_certs"] == "/ca.pem"
    assert options["connection_class"].__name__ == "SSLConnection"


@pytest.mark.parametrize("url", ["cluster://", "cluster://one:6379/1", "cluster://:6379"])
def test_url_without_nodes_or_with_a_database_is_rejected(url: str) -> None:
    with pytest.raises(ValueError, match="needs the nodes and no database"):
        ClusterClient(url, name="test", max_connections=2)


@pytest.mark.parametrize(
    ("key", "tag"),
    [("a", "a"), ("{a}", "a"), ("x:{a}:y", "a"), ("{}b", "{}b"), ("{a", "{a"), ("{a}{b}", "a")],
)
def test_hash_tag_has_the_slot_of_its_key(key: str, tag: str) -> None:
    assert hash_tag_of(key) == tag
    assert slot_of(key) == slot_of(tag)


def test_slot_is_moving_until_its_owner_changes() -> None:
    here, there = Address("here", 1), Address("there", 1)
    slots = SlotMap()
    slots.update([[0, 2, [b"here", 1]]], here)
    slots.follow(Redirect(0, there, once=True))

    slots.update([[0, 1, [b"here", 1]], [2, 2, [b"there", 1]]], here)
    assert slots.is_moving(0)

    slots.update([[0, 0, [b"there", 1]], [1, 1, [b"here", 1]], [2, 2, [b"there", 1]]], here)
    assert not slots.is_moving(0)


def test_node_without_a_host_gets_the_host_of_the_sender() -> None:
    slots = SlotMap()

    slots.update([[0, 99, [b"", 7000]], [100, 199, [b"?", 7001]]], Address("here", 7000))

    assert slots.nodes == [Address("here", 7000), Address("here", 7001)]
    assert slots.uncovered == 16384 - 200
