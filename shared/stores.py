"""Where things are: all on one server, or the runs and their logs apart from the queue."""

from contextlib import AsyncExitStack
from dataclasses import dataclass

from shared.admission import Admission
from shared.admission_apart import AdmissionApart
from shared.cluster import ClusterClient, is_cluster
from shared.cluster_subscriber import ClusterSubscriber
from shared.live_runs import LiveRuns
from shared.redis import Argument, Redis, connect
from shared.runs import RunStore
from shared.settings import Settings
from shared.stream import RedisEventStream
from shared.subscriber import Subscriber, Subscriptions


@dataclass(frozen=True, slots=True)
class Stores:
    """`queue` has all but the runs and their logs; these are in `logs`, which may be the same."""

    queue: Redis
    logs: Redis
    live_ttl: float
    retention: float

    @property
    def apart(self) -> bool:
        return self.logs is not self.queue

    async def each_log_node(self, *command: Argument) -> dict[str, object]:
        """What each node that has logs replies, by its address; where it does not, the error.

        Raises:
            REDIS_AWAY: if none can be asked.
        """
        if isinstance(self.logs, ClusterClient):
            return {str(node): said for node, said in (await self.logs.each(*command)).items()}
        return {"": await self.logs.execute_command(*command)}

    @property
    def uncovered(self) -> int:
        """Slots of the logs that no node has, as far as was told last."""
        return self.logs.slots.uncovered if isinstance(self.logs, ClusterClient) else 0

    @property
    def runs(self) -> RunStore:
        return RunStore(self.logs, live_ttl=self.live_ttl)

    @property
    def stream(self) -> RedisEventStream:
        return RedisEventStream(self.logs, live_ttl=self.live_ttl, retention=self.retention)

    @property
    def admission(self) -> Admission:
        if self.apart:
            return AdmissionApart(self.queue, self.runs, live_ttl=self.live_ttl)
        return Admission(self.queue, live_ttl=self.live_ttl)

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
    logs, url = queue, settings.redis.streams_url
    if url:
        kind = ClusterClient if is_cluster(url) else connect
        logs = kind(url, name=name, max_connections=max_connections)
        stack.push_async_callback(logs.aclose)
    run = settings.run
    return Stores(queue, logs, live_ttl=run.live_ttl_seconds, retention=run.retention_seconds)


async def open_subscriptions(
    settings: Settings, stores: Stores, queue: Subscriber, stack: AsyncExitStack, *, name: str
) -> Subscriptions:
    """To the channels of the logs, given the subscriber of the queue's node."""
    if not stores.apart:
        return queue
    if isinstance(stores.logs, ClusterClient):
        return await stack.enter_async_context(ClusterSubscriber(stores.logs, name=name))
    url = settings.redis.streams_url or settings.redis.url
    return await stack.enter_async_context(Subscriber(url, name=name))
