"""Where things are: all on one server, or the runs and their logs apart from the queue.

What is for the latter alone is imported where it is so.
"""

from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.redis.client import Argument, Redis, connect, is_cluster
from shared.redis.subscriber import Subscriber, Subscriptions
from shared.runs.admission import Admission
from shared.runs.chat_index import ChatIndex
from shared.runs.live_runs import LiveRuns
from shared.runs.store import RunStore
from shared.settings import Settings
from shared.streams.event_stream import RedisEventStream

if TYPE_CHECKING:
    from shared.redis.cluster_client import ClusterClient


@dataclass(frozen=True, slots=True)
class Stores:
    """`queue` has all but the runs and their logs; these are in `logs`, which may be the same."""

    queue: Redis
    logs: Redis
    live_ttl: float
    retention: float
    #: `logs` once more, where it is a cluster.
    cluster: "ClusterClient | None" = None

    @property
    def split(self) -> bool:
        return self.logs is not self.queue

    async def each_log_node(self, *command: Argument) -> dict[str, object]:
        """What each node that has logs replies, by its address; where it does not, the error.

        Raises:
            REDIS_UNAVAILABLE: if no node is reachable.
        """
        if self.cluster:
            return {str(node): said for node, said in (await self.cluster.each(*command)).items()}
        return {"": await self.logs.execute_command(*command)}

    @property
    def uncovered(self) -> int:
        """Slots of the logs that no node has, as far as was told last."""
        return self.cluster.slots.uncovered if self.cluster else 0

    @property
    def runs(self) -> RunStore:
        return RunStore(self.logs, live_ttl=self.live_ttl)

    @property
    def stream(self) -> RedisEventStream:
        return RedisEventStream(
            self.logs, live_ttl=self.live_ttl, retention=self.retention, cluster=self.cluster
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
    def live_runs(self) -> LiveRuns:
        return LiveRuns(self.queue, self.runs)


def open_stores(
    settings: Settings, queue: Redis, stack: AsyncExitStack, *, name: str, max_connections: int
) -> Stores:
    """Both, given the queue's; what is opened for the other is closed with the stack.

    Raises:
        ValueError: if `redis.streams_url` cannot be understood.
    """
    logs, cluster, url = queue, None, settings.redis.streams_url
    if url and is_cluster(url):
        from shared.redis.cluster_client import ClusterClient  # noqa: PLC0415

        logs = cluster = ClusterClient(url, name=name, max_connections=max_connections)
    elif url:
        logs = connect(url, name=name, max_connections=max_connections)
    if logs is not queue:
        stack.push_async_callback(logs.aclose)
    run = settings.run
    return Stores(
        queue,
        logs,
        live_ttl=run.live_ttl_seconds,
        retention=run.retention_seconds,
        cluster=cluster,
    )


async def open_subscriptions(
    settings: Settings, stores: Stores, queue: Subscriber, stack: AsyncExitStack, *, name: str
) -> Subscriptions:
    """To the channels of the logs, given the subscriber of the queue's node."""
    if not stores.split:
        return queue
    if stores.cluster:
        from shared.redis.cluster_subscriber import ClusterSubscriber  # noqa: PLC0415

        return await stack.enter_async_context(ClusterSubscriber(stores.cluster, name=name))
    url = settings.redis.streams_url or settings.redis.url
    return await stack.enter_async_context(Subscriber(url, name=name))
