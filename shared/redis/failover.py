"""Following a failover at once, and the setting of Redis that limits what a failover loses."""

import asyncio
from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack, suppress

from shared.background_task import BackgroundTask
from shared.redis.client import REDIS_UNAVAILABLE, connection_options
from shared.redis.sentinel import Sentinels, is_sentinel
from shared.redis.subscriber import Subscriber

#: A Sentinel publishes the first one when it has promoted a replica, and the second one when it
#: uses the new configuration. Only the Sentinel that leads the failover publishes the first one.
_CHANNELS = ("+promoted-slave", "+switch-master")
MIN_REPLICAS_FIX = (
    "set min-replicas-to-write to 1 and min-replicas-max-lag to 3 on the primary and its replicas"
)


class FailoverWatch(BackgroundTask):
    """Requests the primary again whenever a Sentinel announces a failover, or may have done so.

    An isolated primary accepts writes until it receives the new configuration, and then discards
    them.
    """

    def __init__(self, url: str, *, name: str) -> None:
        self._sentinels: Sentinels = connection_options(url)["sentinels"]
        self._name = name
        self._announced = asyncio.Event()

    def on_message(self, message: bytes) -> None:
        if self._sentinels.service in message.decode().split():
            self._announced.set()

    def on_gap(self) -> None:
        self._announced.set()

    async def _run(self) -> None:
        async with AsyncExitStack() as stack:
            for host, port in self._sentinels.addresses:
                subscriber = await stack.enter_async_context(self._subscriber(host, port))
                for channel in _CHANNELS:
                    subscriber.add(channel, self)
            while True:
                await self._announced.wait()
                self._announced.clear()
                with suppress(*REDIS_UNAVAILABLE):
                    await self._sentinels.primary(changed=True)

    def _subscriber(self, host: str, port: int) -> Subscriber:
        kind = self._sentinels.connection_class
        options = {**self._sentinels.options, "host": host, "port": port, "connection_class": kind}
        return Subscriber(options, name=self._name)


async def watch_failovers(urls: Iterable[str | None], stack: AsyncExitStack, *, name: str) -> None:
    """Watch the Sentinels of each Sentinel URL until the stack is closed."""
    for url in {*filter(None, urls)}:
        if is_sentinel(url):
            await stack.enter_async_context(FailoverWatch(url, name=name))


def accepts_unreplicated_writes(info: Mapping[str, object]) -> bool:
    """Return whether a primary with replicas accepts writes while it cannot reach them.

    `info` is its reply to `INFO replication`, which has the number of replicas that are in time
    only if `min-replicas-to-write` and `min-replicas-max-lag` are set.
    """
    has_replicas = info.get("role") == "master" and bool(info.get("connected_slaves"))
    return has_replicas and "min_slaves_good_slaves" not in info
