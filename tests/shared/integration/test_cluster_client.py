"""The cluster's client: slots that move, nodes that are lost, and others that go on meanwhile."""

import asyncio
import signal
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path

import pytest

from shared.redis.client import REDIS_UNAVAILABLE
from shared.redis.cluster_client import ClusterClient
from shared.redis.hash_slots import Address, Redirect, SlotMap, slot_of
from shared.redis.scripts import Key, redis_script
from shared.runs.stores import Stores
from shared.streams.event_stream import Append
from tests.support import redis_cluster as clusters_of
from tests.support.fakes.runs import new_run
from tests.support.processes import Valkey
from tests.support.redis_cluster import RedisCluster, give, migrate
from tests.support.wait import until

#: Names on each of three nodes.
NAMES = [f"{{{number}}}" for number in range(30)]


@redis_script("return {redis.call('GET', first), redis.call('GET', second)}")
def read_pair(*, first: Key, second: Key) -> list[bytes | None]: ...


@pytest.fixture
async def client(cluster: RedisCluster) -> AsyncGenerator[ClusterClient]:
    async with aclosing(cluster.client()) as client:
        yield client


@pytest.fixture
async def own(tmp_path: Path) -> AsyncGenerator[RedisCluster]:
    """One to break: its first primary has a replica."""
    async with clusters_of.cluster(tmp_path, replicas=1) as own:
        yield own


async def write(client: ClusterClient, name: str, text: str) -> None:
    await client.execute_command("SET", name, text, "PX", 60_000)


async def at(client: ClusterClient, address: Address, *, of: list[str] = NAMES) -> str:
    """A name whose key is at this node."""
    await client.refresh()
    return next(name for name in of if client.owner(name) == address)


async def test_each_command_goes_to_the_node_of_its_key(client: ClusterClient) -> None:
    for name in NAMES:
        await write(client, name, name)

    assert {client.owner(name) for name in NAMES} == set(client.slots.nodes)
    for name in NAMES:
        assert await client.execute_command("GET", name) == name.encode()


async def test_a_pipeline_over_all_nodes_replies_in_order(client: ClusterClient) -> None:
    async with client.pipeline(transaction=False) as pipe:
        for name in NAMES:
            pipe.execute_command("SET", name, name, "PX", 60_000)
        pipe.execute_command("LPUSH", NAMES[0], "no list")
        *written, refused = await pipe.execute(raise_on_error=False)

    assert all(written)
    assert str(refused).startswith("WRONGTYPE")


async def test_a_pipeline_raises_its_first_error_where_asked_to(client: ClusterClient) -> None:
    await write(client, "name", "text")
    async with client.pipeline(transaction=False) as pipe:
        pipe.execute_command("LPUSH", "name", "no list")
        with pytest.raises(Exception, match="WRONGTYPE"):
            await pipe.execute()


async def test_there_is_no_transaction(client: ClusterClient) -> None:
    with pytest.raises(ValueError, match="no transaction"):
        client.pipeline(transaction=True)


async def test_a_script_is_sent_to_each_node_that_does_not_have_it(client: ClusterClient) -> None:
    await client.each("SCRIPT", "FLUSH")
    for name in NAMES:
        await write(client, name, "a")

        assert await read_pair(client, first=name, second=f"{name}:none") == [b"a", None]


async def test_a_slot_that_has_moved_is_found(cluster: RedisCluster, client: ClusterClient) -> None:
    await write(client, "name", "text")
    changes: list[None] = []
    client.slots.on_change.append(lambda: changes.append(None))

    target = await migrate(cluster, "name")

    assert await client.execute_command("GET", "name") == b"text"
    assert client.owner("name") == target.address
    assert changes


async def test_keys_on_their_way_are_asked_for(
    cluster: RedisCluster, client: ClusterClient
) -> None:
    names = ["{way}", "{way}:1", "{way}:2"]
    for name in names[:2]:
        await write(client, name, name)
    before = client.owner("{way}")

    target = await migrate(cluster, "{way}", settle=False)
    async with client.pipeline(transaction=False) as pipe:
        for name in names:
            pipe.execute_command("GET", name)
        found = await pipe.execute()
    await write(client, "{way}:2", "new")

    assert found == [b"{way}", b"{way}:1", None]
    assert await read_pair(client, first="{way}", second="{way}:2") == [b"{way}", b"new"]
    assert client.owner("{way}") == before
    assert client.moves("{way}")
    await give(cluster, slot_of("{way}"), target)
    assert await client.execute_command("GET", "{way}:2") == b"new"
    await until(lambda: _settled(client, "{way}"))


async def _settled(client: ClusterClient, name: str) -> bool:
    await client.refresh()
    return not client.moves(name)


async def test_keys_that_are_torn_apart_are_waited_for(
    cluster: RedisCluster, client: ClusterClient
) -> None:
    await write(client, "{torn}", "a")
    target = await migrate(cluster, "{torn}", settle=False)
    call = asyncio.create_task(read_pair(client, first="{torn}", second="{torn}:later"))
    await asyncio.sleep(0.1)

    await write(client, "{torn}:later", "b")

    assert await call == [b"a", b"b"]
    await give(cluster, slot_of("{torn}"), target)


async def test_keys_that_stay_torn_apart_are_away(
    cluster: RedisCluster, client: ClusterClient
) -> None:
    await write(client, "{torn}", "a")
    target = await migrate(cluster, "{torn}", settle=False)

    with pytest.raises(REDIS_UNAVAILABLE, match=r"TRYAGAIN|ASK"):
        await read_pair(client, first="{torn}", second="{torn}:never")
    await give(cluster, slot_of("{torn}"), target)


async def test_a_lost_node_is_lost_alone(own: RedisCluster) -> None:
    async with aclosing(own.client()) as client:
        lost = own.primaries[1]
        await client.refresh()
        gone = [name for name in NAMES if client.owner(name) == lost.address]
        await lost.kill()

        async with client.pipeline(transaction=False) as pipe:
            for name in NAMES:
                pipe.execute_command("SET", name, "a", "PX", 60_000)
            replies = await pipe.execute(raise_on_error=False)

        results = zip(NAMES, replies, strict=True)
        failed = [name for name, reply in results if isinstance(reply, REDIS_UNAVAILABLE)]
        assert failed == gone
        told = await client.each("PING")
        assert [node for node, said in told.items() if said is not True] == [lost.address]

        lost.start()
        await until(lambda: _serves(client, gone[0]), seconds=30)


async def test_a_replica_takes_over_from_a_primary_that_died(own: RedisCluster) -> None:
    async with aclosing(own.client()) as client:
        name = await at(client, own.primaries[0].address)
        await write(client, name, "kept")
        await until(lambda: _in_step(own))

        await own.primaries[0].kill()

        await until(lambda: _serves(client, name), seconds=30)
        assert await client.execute_command("GET", name) == b"kept"
        assert client.owner(name) == own.replicas[0].address


async def test_a_primary_that_is_told_to_step_back_is_left(own: RedisCluster) -> None:
    async with aclosing(own.client()) as client:
        name = await at(client, own.primaries[0].address)
        await write(client, name, "kept")

        await own.replicas[0].ask("CLUSTER", "FAILOVER")

        async def taken_over() -> bool:
            await write(client, name, "kept")
            return client.owner(name) == own.replicas[0].address

        await until(taken_over, seconds=30)


async def _serves(client: ClusterClient, name: str) -> bool:
    try:
        await client.execute_command("EXISTS", name)
    except REDIS_UNAVAILABLE:
        return False
    return True


async def _in_step(cluster: RedisCluster) -> bool:
    replica = cluster.replicas[0].client()
    async with aclosing(replica):
        return bool(await replica.execute_command("DBSIZE"))


async def test_a_node_that_hangs_does_not_hold_up_what_is_at_others(own: RedisCluster) -> None:
    async with aclosing(own.client()) as client:
        stores = Stores(client, client, live_ttl=60, retention=60, cluster=client)
        runs = [new_run() for _ in range(20)]
        for run in runs:
            await stores.runs.create(run)
            await stores.stream.take_over(run.id)
        lanes = {run.id: stores.stream.shard(run.id) for run in runs}
        hanging = own.primaries[1]
        hanging.send(signal.SIGSTOP)

        async with asyncio.timeout(10):
            others = [run.id for run in runs if lanes[run.id] != str(hanging.address)]
            assert 0 < len(others) < len(runs)
            verdicts = await stores.stream.append(*(Append(r, 1, 1, [b"a"]) for r in others))

        assert verdicts == [False] * len(others)
        hanging.send(signal.SIGCONT)


async def test_a_primary_that_hangs_is_left_once_a_replica_has_taken_over(
    own: RedisCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.redis.cluster_client.SILENCE_SECONDS", 0.5)
    async with aclosing(own.client()) as client:
        name = await at(client, own.primaries[0].address)
        await write(client, name, "kept")
        await until(lambda: _in_step(own))

        own.primaries[0].send(signal.SIGSTOP)

        await until(lambda: _serves(client, name), seconds=30)
        assert client.owner(name) == own.replicas[0].address
        assert await client.execute_command("GET", name) == b"kept"


async def test_where_no_seed_answers_the_cluster_is_away() -> None:
    client = ClusterClient("cluster://127.0.0.1:1,127.0.0.1:2", name="test", max_connections=1)

    async with aclosing(client):
        with pytest.raises(REDIS_UNAVAILABLE, match="No node of the cluster responds"):
            await client.each("PING")
        with pytest.raises(REDIS_UNAVAILABLE):
            await client.execute_command("GET", "name")


async def test_a_server_that_is_no_cluster_is_named_as_one(valkey: Valkey) -> None:
    client = ClusterClient(valkey.url.replace("redis", "cluster"), name="test", max_connections=1)

    async with aclosing(client):
        with pytest.raises(REDIS_UNAVAILABLE, match="use redis://"):
            await client.each("PING")


async def test_a_seed_that_is_away_is_passed_over(cluster: RedisCluster) -> None:
    url = cluster.url.replace("//", "//127.0.0.1:1,")

    async with aclosing(ClusterClient(url, name="test", max_connections=2)) as client:
        assert len(await client.each("PING")) == 3


def test_a_url_names_seeds_and_what_all_nodes_are_asked_with() -> None:
    url = "clusters://me:s3cret%2F@one,two:7000,[::1]:7001/0?ssl_ca_certs=/ca.pem"

    client = ClusterClient(url, name="test", max_connections=2)

    assert client.seeds == [Address("one", 6379), Address("two", 7000), Address("::1", 7001)]
    options = client.options
    assert (options["username"], options["password"]) == ("me", "s3cret/")
    assert options["ssl_ca_certs"] == "/ca.pem"
    assert options["connection_class"].__name__ == "SSLConnection"


@pytest.mark.parametrize("url", ["cluster://", "cluster://one:6379/1", "cluster://:6379"])
def test_a_url_without_a_node_or_with_a_database_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="needs the nodes and no database"):
        ClusterClient(url, name="test", max_connections=2)


def test_a_slot_stays_on_its_way_until_it_has_another_owner() -> None:
    here, there = Address("here", 1), Address("there", 1)
    slots = SlotMap()
    slots.learn([[0, 2, [b"here", 1]]], here)
    slots.follow(Redirect(0, there, once=True))

    slots.learn([[0, 1, [b"here", 1]], [2, 2, [b"there", 1]]], here)
    assert slots.moves(0)

    slots.learn([[0, 0, [b"there", 1]], [1, 1, [b"here", 1]], [2, 2, [b"there", 1]]], here)
    assert not slots.moves(0)


def test_a_node_without_a_name_is_the_one_that_was_asked() -> None:
    slots = SlotMap()

    slots.learn([[0, 99, [b"", 7000]], [100, 199, [b"?", 7001]]], Address("here", 7000))

    assert slots.nodes == [Address("here", 7000), Address("here", 7001)]
    assert slots.uncovered == 16384 - 200
