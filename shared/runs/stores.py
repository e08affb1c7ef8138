"""Opens the stores of runs, streams, and admission on one server or on split storage.

Modules for split storage are imported only if it is configured.
"""

from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from shared.limits.usage_ledger import UsageLedger
from shared.redis.bounded_client import BoundedClient
from shared.redis.client import Argument, Redis, connect, is_cluster
from shared.redis.confirmation import Confirmation, ConfirmingClient
from shared.redis.memory import StreamMemory
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
class ConfirmingClients:
    """Clients of the same servers whose replies are confirmed by replicas.

    They have separate connections, so calls that wait for a replica delay no leases.
    """

    queue: Redis
    streams: Redis


@dataclass(frozen=True, slots=True)
class Stores:
    """`streams_redis` holds the runs and their streams, `queue_redis` the rest; may be the same."""

    queue_redis: Redis
    streams_redis: Redis
    live_ttl: float
    retention: float
    #: The client of `streams_redis` if it is a cluster.
    cluster: "ClusterClient | None" = None
    #: Set with `redis.confirm_replicas`.
    confirming: ConfirmingClients | None = None

    @property
    def _confirmed(self) -> ConfirmingClients:
        """The clients for what clients of the API receive."""
        return self.confirming or ConfirmingClients(self.queue_redis, self.streams_redis)

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
        return RunStore(self._confirmed.streams, live_ttl=self.live_ttl)

    @property
    def stream(self) -> RedisEventStream:
        return RedisEventStream(
            self._confirmed.streams,
            live_ttl=self.live_ttl,
            retention=self.retention,
            cluster=self.cluster,
            publisher=self.streams_redis if self.confirming else None,
        )

    @property
    def admission(self) -> Admission:
        redis = self._confirmed.queue
        if self.split:
            from shared.runs.split_admission import SplitAdmission  # noqa: PLC0415

            memory = StreamMemory(self.each_stream_node)
            return SplitAdmission(redis, self.runs, memory, live_ttl=self.live_ttl)
        return Admission(redis, live_ttl=self.live_ttl)

    @property
    def chats(self) -> ChatIndex:
        return ChatIndex(self._confirmed.queue)

    @property
    def ended_runs(self) -> EndedRuns:
        return EndedRuns(self.queue_redis, retention=self.retention)

    @property
    def usage_ledger(self) -> UsageLedger:
        return UsageLedger(self.queue_redis, live_ttl=self.live_ttl)

    @property
    def live_runs(self) -> LiveRuns:
        return LiveRuns(self.queue_redis, RunStore(self.streams_redis, live_ttl=self.live_ttl))


def open_stores(
    settings: Settings,
    queue_redis: Redis,
    stack: AsyncExitStack,
    *,
    name: str,
    max_connections: int,
    bounded: bool = False,
) -> Stores:
    """Return the stores. The connections that it opens are closed with the stack.

    With `bounded`, each call of those connections has a time limit, like those of `queue_redis`.

    Raises:
        ValueError: if `redis.streams_url` is invalid.
    """

    def open_client(url: str, confirmation: Confirmation | None = None) -> Redis:
        client = _connect(url, name, max_connections, confirmation)
        stack.push_async_callback(client.aclose)
        return client

    def bound(client: Redis, url: str) -> Redis:
        if not bounded:
            return client
        # A cluster client has a pool for each node. A node that hangs must not block the others.
        return BoundedClient(client, max_calls=None if is_cluster(url) else max_connections)

    url, streams_url = settings.redis.url, settings.redis.streams_url
    streams = open_client(streams_url) if streams_url else None
    confirming = None
    if replicas := settings.redis.confirm_replicas:
        confirmation = Confirmation(replicas)
        queue = bound(open_client(url, confirmation), url)
        confirming = ConfirmingClients(
            queue,
            bound(open_client(streams_url, confirmation), streams_url) if streams_url else queue,
        )
    return Stores(
        queue_redis,
        bound(streams, streams_url) if streams and streams_url else queue_redis,
        live_ttl=settings.run.live_ttl_seconds,
        retention=settings.run.retention_seconds,
        cluster=cast("ClusterClient", streams) if streams_url and is_cluster(streams_url) else None,
        confirming=confirming,
    )


def _connect(url: str, name: str, max_connections: int, confirmation: Confirmation | None) -> Redis:
    if is_cluster(url):
        from shared.redis.cluster_client import ClusterClient  # noqa: PLC0415

        return ClusterClient(
            url, name=name, max_connections=max_connections, confirmation=confirmation
        )
    client = connect(url, name=name, max_connections=max_connections)
    return ConfirmingClient(client, confirmation) if confirmation else client


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
