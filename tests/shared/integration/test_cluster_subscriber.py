"""Sharded pub/sub over a real cluster: whatever happens to slots and nodes, gaps are announced."""

from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest

from shared.redis.client import REDIS_UNAVAILABLE
from shared.redis.cluster_client import ClusterClient
from shared.redis.cluster_subscriber import ClusterSubscriber
from shared.redis.hash_slots import slot_of
from tests.support import redis_cluster as clusters_of
from tests.support.fakes.recorder import Recorder
from tests.support.redis_cluster import RedisCluster, give, migrate
from tests.support.wait import until

CHANNELS = [f"news-{number}" for number in range(12)]


@asynccontextmanager
async def subscribed(
    cluster: RedisCluster,
) -> AsyncGenerator[tuple[ClusterClient, ClusterSubscriber]]:
    async with aclosing(cluster.client()) as client, ClusterSubscriber(client, name="t") as found:
        yield client, found


@pytest.fixture
async def own(tmp_path: Path) -> AsyncGenerator[RedisCluster]:
    async with clusters_of.cluster(tmp_path, replicas=1) as own:
        yield own


async def hears(client: ClusterClient, channel: str, listener: Recorder) -> None:
    """Until something that is published is heard."""
    heard = len(listener.messages)

    async def probe() -> bool:
        try:
            await client.execute_command("SPUBLISH", channel, "something new")
        except REDIS_UNAVAILABLE:
            return False
        return len(listener.messages) > heard

    await until(probe, seconds=30)


async def test_channels_at_all_nodes_are_heard_once_and_in_order(cluster: RedisCluster) -> None:
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
            await until(lambda r=listener: _count(r, 10))
            assert listener.messages == expected
        assert len({client.owner(channel) for channel in CHANNELS}) == 3


async def _count(listener: Recorder, count: int) -> bool:
    return len(listener.messages) >= count


async def test_a_second_listener_is_told_of_a_standing_subscription(cluster: RedisCluster) -> None:
    async with subscribed(cluster) as (client, subscriber):
        first, second = Recorder(), Recorder()
        subscriber.add("news", first)
        await first.has_gaps(1)

        subscriber.add("news", second)

        assert second.gaps == 1
        await hears(client, "news", second)
        assert first.messages == second.messages


async def test_who_has_left_hears_nothing_and_its_channel_ends(cluster: RedisCluster) -> None:
    async with subscribed(cluster) as (client, subscriber):
        stays, leaves = Recorder(), Recorder()
        subscriber.add("news", stays)
        subscriber.add("news", leaves)
        await stays.has_gaps(1)

        subscriber.remove("news", leaves)
        await hears(client, "news", stays)
        subscriber.remove("news", stays)

        await until(lambda: _nobody_hears(client, "news"))
        assert leaves.messages == []


async def _nobody_hears(client: ClusterClient, channel: str) -> bool:
    return await client.execute_command("SPUBLISH", channel, "hello?") == 0


async def test_a_channel_whose_slot_moves_is_subscribed_where_it_went(
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
        await hears(client, "moving", listener)


async def test_a_channel_of_a_slot_on_its_way_is_heard_at_its_owner(cluster: RedisCluster) -> None:
    async with subscribed(cluster) as (client, subscriber):
        listener = Recorder()
        target = await migrate(cluster, "way", settle=False)
        subscriber.add("way", listener)
        await listener.has_gaps(1)

        await hears(client, "way", listener)

        await give(cluster, slot_of("way"), target)
        await listener.has_gaps(2)
        await hears(client, "way", listener)


async def test_a_subscriber_with_an_old_map_follows_the_redirection(cluster: RedisCluster) -> None:
    async with subscribed(cluster) as (client, subscriber):
        known = Recorder()
        subscriber.add("known", known)
        await known.has_gaps(1)
        await migrate(cluster, "unknown")

        listener = Recorder()
        subscriber.add("unknown", listener)

        await listener.has_gaps(1)
        await hears(client, "unknown", listener)


async def test_a_fail_over_is_a_gap_and_then_all_is_heard(own: RedisCluster) -> None:
    async with subscribed(own) as (client, subscriber):
        listeners = {channel: Recorder() for channel in CHANNELS}
        for channel, listener in listeners.items():
            subscriber.add(channel, listener)
        for listener in listeners.values():
            await listener.has_gaps(1)
        lost = own.primaries[0]
        gone = [channel for channel in CHANNELS if client.owner(channel) == lost.address]
        gaps = {channel: listeners[channel].gaps for channel in gone}

        await lost.kill()

        for channel in gone:
            await hears(client, channel, listeners[channel])
            assert listeners[channel].gaps > gaps[channel]
        for channel in CHANNELS:
            await hears(client, channel, listeners[channel])


async def test_a_node_that_comes_back_is_subscribed_again(own: RedisCluster) -> None:
    async with subscribed(own) as (client, subscriber):
        await client.refresh()
        node = own.primaries[1]
        channel = next(name for name in CHANNELS if client.owner(name) == node.address)
        listener = Recorder()
        subscriber.add(channel, listener)
        await listener.has_gaps(1)

        await node.kill()
        node.start()

        await listener.has_gaps(2)
        await hears(client, channel, listener)


async def test_a_cluster_that_is_away_at_first_is_waited_for(own: RedisCluster) -> None:
    for node in own.primaries + own.replicas:
        await node.kill()
    async with subscribed(own) as (client, subscriber):
        listener = Recorder()
        subscriber.add("news", listener)
        for node in own.primaries:
            node.start()

        await hears(client, "news", listener)
        assert listener.gaps
