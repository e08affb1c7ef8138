"""Opens the stores of runs, streams, and admission on one server or on split storage.

Modules for split storage are imported only if it is configured.
"""

from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.redis.bounded_client import BoundedClient
from shared.redis.client import Argument, Redis, connect, is_cluster
from shared.redis.subscriber import Subscriber, Subscriptions
from shared.runs.admission import Admission
from shared.runs.chat_index import ChatIndex
from shared.runs.ended_runs import EndedRuns
from shared.runs.live_runs import LiveRuns
from shared.runs.store import RunStore
from shared.settings import Settings
from shared.streams.event_stream import RedisEventStream

if TYPE_CHECKING:
    from shared.redis.cluster_client import ClusterClient


@dataclass(frozen=True, slots=True)
class Stores:
    """`streams_redis` holds the runs and their streams, `queue_redis` the rest; may be the same."""

    queue_redis: Redis
    streams_redis: Redis
    live_ttl: float
    retention: float
    #: The client of `streams_redis` if it is a cluster.
    cluster: "ClusterClient | None" = None

    @property
    def split(self) -> bool:
        return self.streams_redis is not self.queue_redis

    async def each_stream_node(self, *command: Argument) -> dict[str, object]:
        """Return the reply of each node that stores streams, or its error, by address.

        Raises:
            REDIS_UNAVAILABLE: if no node is reachable.
        """
        if self.cluster:
            return {str(node): r for node, r in (await self.cluster.each(*command)).items()}
        return {"": await self.streams_redis.execute_command(*command)}

    @property
    def uncovered_slots(self) -> int:
        """Number of hash slots without a node, as last reported by the cluster."""
        return self.cluster.slots.uncovered if self.cluster else 0

    @property
    def runs(self) -> RunStore:
        return RunStore(self.streams_redis, live_ttl=self.live_ttl)

    @property
    def stream(self) -> RedisEventStream:
        return RedisEventStream(
            self.streams_redis,
            live_ttl=self.live_ttl,
            retention=self.retention,
            cluster=self.cluster,
        )

    @property
    def admission(self) -> Admission:
        if self.split:
            from shared.redis.memory import StreamMemory  # noqa: PLC0415
            from shared.runs.split_admission import SplitAdmission  # noqa: PLC0415

            memory = StreamMemory(self.each_stream_node)
            return SplitAdmission(self.queue_redis, self.runs, memory, live_ttl=self.live_ttl)
        return Admission(self.queue_redis, live_ttl=self.live_ttl)

    @property
    def chats(self) -> ChatIndex:
        return ChatIndex(self.queue_redis)

    @property
    def ended_runs(self) -> EndedRuns:
        return EndedRuns(self.queue_redis, retention=self.retention)

    @property
    def live_runs(self) -> LiveRuns:
        return LiveRuns(self.queue_redis, self.runs)


def open_stores(
    settings: Settings,
    queue_redis: Redis,
    stack: AsyncExitStack,
    *,
    name: str,
    max_connections: int,
    bounded: bool = False,
) -> Stores:
    """Return the stores. Connections for split storage are closed with the stack.

    With `bounded`, each call of `streams_redis` has a time limit, like those of `queue_redis`.

    Raises:
        ValueError: if `redis.streams_url` is invalid.
    """
    streams_redis, cluster, url = queue_redis, None, settings.redis.streams_url
    if url and is_cluster(url):
        from shared.redis.cluster_client import ClusterClient  # noqa: PLC0415

        streams_redis = cluster = ClusterClient(url, name=name, max_connections=max_connections)
    elif url:
        streams_redis = connect(url, name=name, max_connections=max_connections)
    split = streams_redis is not queue_redis
    if split:
        stack.push_async_callback(streams_redis.aclose)
    run = settings.run
    return Stores(
        queue_redis,
        BoundedClient(streams_redis) if bounded and split else streams_redis,
        live_ttl=run.live_ttl_seconds,
        retention=run.retention_seconds,
        cluster=cluster,
    )


async def open_subscriptions(
    settings: Settings,
    stores: Stores,
    queue_subscriber: Subscriber,
    stack: AsyncExitStack,
    *,
    name: str,
) -> Subscriptions:
    """Return the subscriptions to stream channels.

    `queue_subscriber` subscribes at the queue's node.
    """
    if not stores.split:
        return queue_subscriber
    if stores.cluster:
        from shared.redis.cluster_subscriber import ClusterSubscriber  # noqa: PLC0415

        return await stack.enter_async_context(ClusterSubscriber(stores.cluster, name=name))
    url = settings.redis.streams_url or settings.redis.url
    return await stack.enter_async_context(Subscriber(url, name=name))
