"""Sharded pub/sub over a real cluster: moving slots and lost nodes cause gaps."""

from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest

from shared.redis.client import REDIS_UNAVAILABLE
from shared.redis.cluster_client import ClusterClient
from shared.redis.cluster_subscriber import ClusterSubscriber
from shared.redis.hash_slots import slot_of
from tests.support.fakes.recorder import Recorder
from tests.support.redis_cluster import RedisCluster, assign_slot, migrate, open_cluster
from tests.support.wait import until

CHANNELS = [f"news-{number}" for number in range(12)]


@asynccontextmanager
async def subscribed(
    cluster: RedisCluster,
) -> AsyncGenerator[tuple[ClusterClient, ClusterSubscriber]]:
    async with (
        aclosing(cluster.client()) as client,
        ClusterSubscriber(client, name="t") as subscriber,
    ):
        yield client, subscriber


@pytest.fixture
async def private_cluster(tmp_path: Path) -> AsyncGenerator[RedisCluster]:
    """A cluster whose nodes a test may stop. Its first primary has a replica."""
    async with open_cluster(tmp_path, replicas=1) as cluster:
        yield cluster


async def receives(client: ClusterClient, channel: str, listener: Recorder) -> None:
    """Publish until the listener receives a message."""
    before = len(listener.messages)

    async def probe() -> bool:
        try:
            await client.execute_command("SPUBLISH", channel, "something new")
        except REDIS_UNAVAILABLE:
            return False
        return len(listener.messages) > before

    await until(probe, seconds=30)


async def test_messages_of_all_nodes_arrive_once_and_in_order(cluster: RedisCluster) -> None:
    async with subscribed(cluster) as (client, subscriber):
        listeners = {channel: Recorder() for channel in CHANNELS}
        for channel, listener in listeners.items():
            subscriber.add(channel, listener)
        for listener in listeners.values():
            await listener.has_gaps(1)

        for number in range(10):
            for channel in CHANNELS:
                await client.execute_command("SPUBLISH", channel, f"{channel} {number}")

        for channel, listener in listeners.items():
            expected = [f"{channel} {number}".encode() for number in range(10)]
            await until(lambda r=listener: _has_messages(r, 10))
            assert listener.messages == expected
        assert len({client.owner(channel) for channel in CHANNELS}) == 3


async def _has_messages(listener: Recorder, count: int) -> bool:
    return len(listener.messages) >= count


async def test_second_listener_gets_a_gap_at_once(cluster: RedisCluster) -> None:
    async with subscribed(cluster) as (client, subscriber):
        first, second = Recorder(), Recorder()
        subscriber.add("news", first)
        await first.has_gaps(1)

        subscriber.add("news", second)

        assert second.gaps == 1
        await receives(client, "news", second)
        assert first.messages == second.messages


async def test_channel_is_unsubscribed_with_its_last_listener(cluster: RedisCluster) -> None:
    async with subscribed(cluster) as (client, subscriber):
        stays, leaves = Recorder(), Recorder()
        subscriber.add("news", stays)
        subscriber.add("news", leaves)
        await stays.has_gaps(1)

        subscriber.remove("news", leaves)
        await receives(client, "news", stays)
        subscriber.remove("news", stays)

        await until(lambda: _has_no_subscribers(client, "news"))
        assert leaves.messages == []


async def _has_no_subscribers(client: ClusterClient, channel: str) -> bool:
    return await client.execute_command("SPUBLISH", channel, "hello?") == 0


async def test_channel_is_subscribed_at_the_new_owner_of_its_slot(
    cluster: RedisCluster,
) -> None:
    async with subscribed(cluster) as (client, subscriber):
        listener, other = Recorder(), Recorder()
        subscriber.add("moving", listener)
        subscriber.add("staying", other)
        await listener.has_gaps(1)
        await other.has_gaps(1)
        gaps = listener.gaps

        await migrate(cluster, "moving")

        await listener.has_gaps(gaps + 1)
        await receives(client, "moving", listener)


async def test_channel_of_a_migrating_slot_is_received(cluster: RedisCluster) -> None:
    async with subscribed(cluster) as (client, subscriber):
        listener = Recorder()
        target = await migrate(cluster, "migrating", finish=False)
        subscriber.add("migrating", listener)
        await listener.has_gaps(1)

        await receives(client, "migrating", listener)

        await assign_slot(cluster, slot_of("migrating"), target)
        await listener.has_gaps(2)
        await receives(client, "migrating", listener)


async def test_subscriber_with_an_outdated_slot_map_is_redirected(cluster: RedisCluster) -> None:
    async with subscribed(cluster) as (client, subscriber):
        known = Recorder()
        subscriber.add("known", known)
        await known.has_gaps(1)
        await migrate(cluster, "unknown")

        listener = Recorder()
        subscriber.add("unknown", listener)

        await listener.has_gaps(1)
        await receives(client, "unknown", listener)


async def test_failover_causes_a_gap_and_messages_continue(private_cluster: RedisCluster) -> None:
    async with subscribed(private_cluster) as (client, subscriber):
        listeners = {channel: Recorder() for channel in CHANNELS}
        for channel, listener in listeners.items():
            subscriber.add(channel, listener)
        for listener in listeners.values():
            await listener.has_gaps(1)
        lost = private_cluster.primaries[0]
        lost_channels = [channel for channel in CHANNELS if client.owner(channel) == lost.address]
        gaps = {channel: listeners[channel].gaps for channel in lost_channels}

        await lost.kill()

        for channel in lost_channels:
            await receives(client, channel, listeners[channel])
            assert listeners[channel].gaps > gaps[channel]
        for channel in CHANNELS:
            await receives(client, channel, listeners[channel])


async def test_restarted_node_is_subscribed_again(private_cluster: RedisCluster) -> None:
    async with subscribed(private_cluster) as (client, subscriber):
        await client.refresh()
        node = private_cluster.primaries[1]
        channel = next(name for name in CHANNELS if client.owner(name) == node.address)
        listener = Recorder()
        subscriber.add(channel, listener)
        await listener.has_gaps(1)

        await node.kill()
        node.start()

        await listener.has_gaps(2)
        await receives(client, channel, listener)


async def test_subscriber_waits_until_the_cluster_starts(
    private_cluster: RedisCluster,
) -> None:
    for node in private_cluster.primaries + private_cluster.replicas:
        await node.kill()
    async with subscribed(private_cluster) as (client, subscriber):
        listener = Recorder()
        subscriber.add("news", listener)
        for node in private_cluster.primaries:
            node.start()

        await receives(client, "news", listener)
        assert listener.gaps
