"""With `redis.confirm_replicas`, clients see only what a replica has."""

import asyncio
import itertools
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from shared.errors import CursorLost
from shared.redis import confirmation, keys
from shared.redis.client import OutOfMemoryError, Redis, connect
from shared.redis.cluster_client import ClusterClient
from shared.redis.cluster_subscriber import ClusterSubscriber
from shared.redis.confirmation import Confirmation, Unconfirmed
from shared.redis.subscriber import Subscriber
from shared.runs.admission import Admitted, Idempotency
from shared.runs.run import Run
from shared.runs.store import RunStore
from shared.runs.stores import Stores, open_stores
from shared.settings import LimitSettings, RedisSettings, Settings
from shared.streams.event_stream import Append, Entry, RedisEventStream, read_all
from shared.streams.events import TextDelta, decode
from shared.streams.follow import Follower, FollowerFactory
from tests.support.fakes.recorder import Recorder
from tests.support.fakes.runs import job_of, new_run
from tests.support.follow_harness import MAX_BYTES
from tests.support.processes import Valkey
from tests.support.redis_cluster import ClusterNode, RedisCluster, open_cluster
from tests.support.redis_sentinel import ReplicaPair, open_replica_pair, open_sentinel_pair
from tests.support.wait import until
from worker.output.writer import GroupCommitter, RunWriter


@pytest.fixture(autouse=True)
def short_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confirmation, "_TIMEOUT_MS", 1000)


@pytest.fixture
async def pair() -> AsyncGenerator[ReplicaPair]:
    async with open_replica_pair() as pair:
        yield pair


@pytest.fixture
async def stores(pair: ReplicaPair) -> AsyncGenerator[Stores]:
    async with open_confirming(pair.primary.url, replicas=1) as stores:
        yield stores


@asynccontextmanager
async def open_confirming(url: str, *, replicas: int) -> AsyncGenerator[Stores]:
    settings = Settings(redis=RedisSettings(url=url, confirm_replicas=replicas))
    async with AsyncExitStack() as stack:
        redis = connect(url, name="test", max_connections=8)
        stack.push_async_callback(redis.aclose)
        yield open_stores(settings, redis, stack, name="test", max_connections=8)


async def begin(stores: Stores) -> str:
    run = new_run()
    await stores.runs.create(run)
    await stores.stream.take_over(run.id)
    return run.id


async def test_unconfirmed_event_is_neither_published_nor_read(
    pair: ReplicaPair, stores: Stores
) -> None:
    run_id = await begin(stores)
    listener, channel = Recorder(), keys.stream(run_id)
    async with Subscriber(pair.primary.url, name="test") as subscriber:
        subscriber.add(channel, listener)
        await listener.has_gaps(1)
        await stores.stream.append(Append(run_id, 1, 1, [b"a"]))
        await pair.cut_replication()

        for _ in range(2):  # the repeated append writes nothing
            with pytest.raises(Unconfirmed, match="0 of 1 replicas"):
                await stores.stream.append(Append(run_id, 1, 2, [b"b"]))
        with pytest.raises(Unconfirmed):
            await read_all(stores.stream, run_id)
        assert await stores.queue_redis.execute_command("XLEN", channel) == 3
        assert await listener.all_before(stores.queue_redis, channel) == [b"1-1 a"]

        await pair.restore_replication()
        await pair.wait_for_sync()
        await stores.stream.append(Append(run_id, 1, 2, [b"b"]))
        assert [entry.data for entry in await read_all(stores.stream, run_id)] == [b"a", b"b"]
        await until(lambda: has_message(listener, b"1-2 b"))


async def has_message(listener: Recorder, message: bytes) -> bool:
    return message in listener.messages


async def test_refused_append_is_not_published(pair: ReplicaPair, stores: Stores) -> None:
    run_id = await begin(stores)
    await stores.stream.take_over(run_id)
    listener, channel = Recorder(), keys.stream(run_id)
    async with Subscriber(pair.primary.url, name="test") as subscriber:
        subscriber.add(channel, listener)
        await listener.has_gaps(1)

        await stores.stream.append(
            Append(run_id, 1, 1, [b"fenced"]), Append(run_id, 2, 5, [b"gap"])
        )

        assert await listener.all_before(stores.queue_redis, channel) == []


async def test_unconfirmed_admission_is_refused_and_repeatable(
    pair: ReplicaPair, stores: Stores
) -> None:
    key = Idempotency("key", "fingerprint")
    await pair.cut_replication()
    with pytest.raises(Unconfirmed):
        await admit(stores, new_run(), key)
    await pair.restore_replication()
    await pair.wait_for_sync()

    first = await admit(stores, new_run(), key)
    again = await admit(stores, new_run(), key)

    assert isinstance(first, Admitted)
    assert first == again


async def admit(stores: Stores, run: Run, key: Idempotency) -> object:
    return await stores.admission.admit(run, job_of(run), LimitSettings(), idempotency=key)


async def test_unconfirmed_stop_is_not_acknowledged(pair: ReplicaPair, stores: Stores) -> None:
    run_id = await begin(stores)
    await pair.cut_replication()

    with pytest.raises(Unconfirmed):
        await stores.runs.request_stop(run_id)


async def test_leases_and_console_do_not_wait_for_replicas(
    pair: ReplicaPair, stores: Stores
) -> None:
    await pair.cut_replication()

    assert await stores.queue_redis.execute_command("SET", "lease", "1", "PX", 1000)
    assert await stores.live_runs.read([keys.MAIN_QUEUE], 10) == []


async def test_run_can_be_stopped_and_end_when_the_memory_is_full(stores: Stores) -> None:
    run_id = await begin(stores)
    await stores.queue_redis.execute_command("CONFIG", "SET", "maxmemory", 1)

    await stores.runs.request_stop(run_id)
    takeover = await stores.stream.take_over(run_id)
    assert takeover.stop_requested
    event = Append(run_id, takeover.attempt, takeover.offset + 1, [b"a"])
    [refused] = await stores.stream.append(event)
    assert isinstance(refused, OutOfMemoryError)
    assert await stores.stream.append(replace(event, ending=True)) == [True]


async def test_default_settings_send_no_wait(redis: Redis, valkey: Valkey) -> None:
    await redis.execute_command("CONFIG", "RESETSTAT")
    async with open_confirming(valkey.url, replicas=0) as stores:
        run_id = await begin(stores)
        await stores.stream.append(Append(run_id, 1, 1, [b"a"]))
        await read_all(stores.stream, run_id)

    assert "cmdstat_wait" not in await redis.execute_command("INFO", "commandstats")
    assert await redis.execute_command("EXISTS", keys.confirmation("0")) == 0


@pytest.mark.parametrize("replicas", [1, 0])
async def test_failover_to_a_lagging_replica(tmp_path: Path, replicas: int) -> None:
    """What a client has seen survives. Without confirmation, the replica lacks some of it."""
    async with (
        open_sentinel_pair(tmp_path) as pair,
        open_confirming(pair.url, replicas=replicas) as stores,
        Subscriber(pair.url, name="test") as subscriber,
        GroupCommitter(stores.stream) as committer,
    ):
        run_id, seen = await begin(stores), list[Entry]()
        followers = FollowerFactory(stores.stream, subscriber, max_bytes=MAX_BYTES)
        with followers.follow(run_id) as follower:
            writing = asyncio.create_task(write_words(committer, run_id))
            reading = asyncio.create_task(read_words(follower, seen))
            await until(lambda: has_read(seen, 5))
            await pair.fail_over(lag=0.3)
            if replicas:
                count = len(seen)
                await until(lambda: has_read(seen, count + 20), seconds=60)
            else:
                with pytest.raises(CursorLost):
                    async with asyncio.timeout(60):
                        await reading
            for task in (writing, reading):
                task.cancel()
            await asyncio.gather(writing, reading, return_exceptions=True)

        assert [decode(entry.data) for entry in seen] == [
            TextDelta(id=f"text-{number}", delta="word") for number in range(1, len(seen) + 1)
        ]


async def write_words(committer: GroupCommitter, run_id: str) -> None:
    """Write words that are not merged, until the stream refuses one."""
    writer = RunWriter(
        committer, run_id, attempt=1, offset=0, on_refused=lambda: None, on_stop=lambda: None
    )
    for number in itertools.count(1):
        writer.write(TextDelta(id=f"text-{number}", delta="word"))
        await writer.drain()
        await asyncio.sleep(0.005)


async def read_words(follower: Follower, seen: list[Entry]) -> None:
    while True:
        seen += await follower.read()


async def has_read(seen: list[Entry], count: int) -> bool:
    return len(seen) >= count


async def test_each_cluster_node_confirms_its_runs(tmp_path: Path) -> None:
    async with open_cluster(tmp_path, replicas=1) as cluster, AsyncExitStack() as stack:
        confirming = ClusterClient(
            cluster.url, name="test", max_connections=8, confirmation=Confirmation(1)
        )
        plain = cluster.client()
        for client in (confirming, plain):
            stack.push_async_callback(client.aclose)
        subscriber = await stack.enter_async_context(ClusterSubscriber(plain, name="test"))
        stream = RedisEventStream(
            confirming, live_ttl=600, retention=60, cluster=plain, publisher=plain
        )
        with_replica, without = [await new_run_on(cluster, n) for n in cluster.primaries[:2]]
        listener = Recorder()
        subscriber.add(keys.stream(with_replica.id), listener)
        await listener.has_gaps(1)

        await RunStore(confirming, live_ttl=600).create(with_replica)
        await stream.take_over(with_replica.id)
        await stream.append(Append(with_replica.id, 1, 1, [b"a"]))
        await until(lambda: has_message(listener, b"1-1 a"))
        with pytest.raises(Unconfirmed):
            await RunStore(confirming, live_ttl=600).create(without)

        assert await cluster.names_without_ttl() == []


async def new_run_on(cluster: RedisCluster, node: ClusterNode) -> Run:
    while await cluster.owner(keys.stream((run := new_run()).id)) is not node:
        pass
    return run
