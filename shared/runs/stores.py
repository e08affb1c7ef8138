"""Opens the stores of runs, streams, and admission on one server or on split storage.

Modules for split storage are imported only if it is configured.
"""

from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

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
    """`streams` holds the runs and their streams, `queue` everything else. They may be the same."""

    queue: Redis
    streams: Redis
    live_ttl: float
    retention: float
    #: Equal to `streams` if it is a cluster.
    cluster: "ClusterClient | None" = None

    @property
    def split(self) -> bool:
        return self.streams is not self.queue

    async def each_stream_node(self, *command: Argument) -> dict[str, object]:
        """Return the reply of each node that stores streams, or its error, by address.

        Raises:
            REDIS_UNAVAILABLE: if no node is reachable.
        """
        if self.cluster:
            return {str(node): r for node, r in (await self.cluster.each(*command)).items()}
        return {"": await self.streams.execute_command(*command)}

    @property
    def uncovered_slots(self) -> int:
        """Number of hash slots without a node, as last reported by the cluster."""
        return self.cluster.slots.uncovered if self.cluster else 0

    @property
    def runs(self) -> RunStore:
        return RunStore(self.streams, live_ttl=self.live_ttl)

    @property
    def stream(self) -> RedisEventStream:
        return RedisEventStream(
            self.streams, live_ttl=self.live_ttl, retention=self.retention, cluster=self.cluster
        )

    @property
    def admission(self) -> Admission:
        if self.split:
            from shared.runs.split_admission import SplitAdmission  # noqa: PLC0415

            return SplitAdmission(self.queue, self.runs, live_ttl=self.live_ttl)
        return Admission(self.queue, live_ttl=self.live_ttl)

    @property
    def chats(self) -> ChatIndex:
        return ChatIndex(self.queue)

    @property
    def ended_runs(self) -> EndedRuns:
        return EndedRuns(self.queue, retention=self.retention)

    @property
    def live_runs(self) -> LiveRuns:
        return LiveRuns(self.queue, self.runs)


def open_stores(
    settings: Settings, queue: Redis, stack: AsyncExitStack, *, name: str, max_connections: int
) -> Stores:
    """Return the stores. Connections for split storage are closed with the stack.

    Raises:
        ValueError: if `redis.streams_url` is invalid.
    """
    streams, cluster, url = queue, None, settings.redis.streams_url
    if url and is_cluster(url):
        from shared.redis.cluster_client import ClusterClient  # noqa: PLC0415

        streams = cluster = ClusterClient(url, name=name, max_connections=max_connections)
    elif url:
        streams = connect(url, name=name, max_connections=max_connections)
    if streams is not queue:
        stack.push_async_callback(streams.aclose)
    run = settings.run
    return Stores(
        queue,
        streams,
        live_ttl=run.live_ttl_seconds,
        retention=run.retention_seconds,
        cluster=cluster,
    )


async def open_subscriptions(
    settings: Settings, stores: Stores, queue: Subscriber, stack: AsyncExitStack, *, name: str
) -> Subscriptions:
    """Return the subscriptions to stream channels. `queue` subscribes at the queue's node."""
    if not stores.split:
        return queue
    if stores.cluster:
        from shared.redis.cluster_subscriber import ClusterSubscriber  # noqa: PLC0415

        return await stack.enter_async_context(ClusterSubscriber(stores.cluster, name=name))
    url = settings.redis.streams_url or settings.redis.url
    return await stack.enter_async_context(Subscriber(url, name=name))
