"""An admission on Redis with its stores, and a shorthand to admit runs."""

from typing import TypedDict, Unpack, cast

from shared.queue.job_queue import JobQueue
from shared.queue.queue_depth import QueueDepth, read_depths
from shared.redis import keys
from shared.redis.client import Redis
from shared.redis.cluster_client import ClusterClient
from shared.runs.admission import Admitted, Idempotency, NotNewest, Occupied
from shared.runs.stores import Stores
from shared.settings import BudgetSettings, LimitSettings
from shared.streams.event_stream import Append, Closure, StoredRun
from shared.streams.events import DONE
from shared.streams.run_state import RunState
from tests.support.fakes.runs import job_of, new_run

LIVE_TTL = 600
OWNER = "owner-1"
CHAT = "chat-1"


class HarnessLimits(TypedDict, total=False):
    requests_per_minute: int
    burst: int
    live_runs: int
    queue_depth: int
    owner_bytes: int
    redis_memory: float


class AdmissionHarness:
    """An admission with its stores. Each run gets a separate chat unless the test names one."""

    def __init__(self, stores: Stores) -> None:
        self.redis = stores.queue_redis
        self.logs = stores.streams_redis
        self.split = stores.split
        self.admission = stores.admission
        self.queue = JobQueue(stores.queue_redis)
        self.chats = stores.chats
        self.runs = stores.runs
        self.stream = stores.stream
        self.ended_runs = stores.ended_runs
        self.ledger = stores.usage_ledger

    async def admit(
        self,
        name: str,
        *,
        chat: str | None = None,
        owner: str = OWNER,
        supersede: bool = False,
        queue: bool = False,
        max_waiting: int = 3,
        idempotency: Idempotency | None = None,
        continues: tuple[str, ...] = (),
        webhooks: bool = False,
        budget: BudgetSettings | None = None,
        **limits: Unpack[HarnessLimits],
    ) -> Admitted | Occupied | NotNewest:
        run = new_run(name, owner=owner, chat_id=chat or f"chat-{name}")
        run = run.model_copy(update={"continues": continues})
        return await self.admission.admit(
            run,
            job_of(run),
            LimitSettings(**limits),
            when_busy="supersede" if supersede else "queue" if queue else "reject",
            max_waiting=max_waiting,
            idempotency=idempotency,
            webhooks=webhooks,
            budget=budget,
        )

    async def end(self, name: str) -> None:
        """Take over a run and end it, as a worker does."""
        takeover = await self.stream.take_over(name)
        closure = Closure(RunState.SUCCEEDED)
        await self.stream.append(Append(name, takeover.attempt, 1, [DONE], closure))
        await self.queue.remove(name)

    async def append_last(self, append: Append) -> StoredRun:
        """Make an append that ends its run, and return what the run occupies."""
        [verdict] = await self.stream.append(append)
        assert isinstance(verdict, StoredRun)
        return verdict

    async def queued_jobs(self) -> list[bytes]:
        return await self.redis.execute_command("ZRANGE", keys.QUEUE, 0, -1)

    async def depth(self) -> QueueDepth:
        return (await read_depths(self.redis, [keys.MAIN_QUEUE]))[keys.MAIN_QUEUE]

    async def wakeup_tokens(self) -> int:
        return await self.redis.execute_command("LLEN", keys.wakeup(keys.QUEUE))

    async def live_runs(self) -> list[bytes]:
        return await self.redis.execute_command("ZRANGE", keys.live_runs(OWNER), 0, -1)

    async def dump(self) -> dict[bytes, object]:
        """Return the content of all keys of the queue's server and of all runs.

        The result of the last memory check, which soon expires, is left out.
        """
        names: list[bytes] = await self.redis.execute_command("KEYS", "*")
        stored = {*names} - {keys.MEMORY_CHECKED.encode()}
        found = {name: await self._content(self.redis, name) for name in stored}
        runs = [*await self._run_keys()] if self.split else []
        return found | {name: await self._content(self.logs, name) for name in runs}

    async def _run_keys(self) -> list[bytes]:
        if isinstance(self.logs, ClusterClient):
            replies = await self.logs.each("KEYS", "*")
            return [name for names in replies.values() for name in cast("list[bytes]", names)]
        return await self.logs.execute_command("KEYS", "*")

    async def _content(self, redis: Redis, name: bytes) -> object:
        """Return the content of a key, without the arbitrary field order of a hash."""
        is_hash = await redis.execute_command("TYPE", name.decode()) == b"hash"
        return await redis.execute_command("HGETALL" if is_hash else "DUMP", name.decode())


def stores(queue: Redis, logs: Redis) -> Stores:
    cluster = logs if isinstance(logs, ClusterClient) else None
    return Stores(queue, logs, live_ttl=LIVE_TTL, retention=LIVE_TTL, cluster=cluster)


def admitted(name: str) -> Admitted:
    return Admitted(name, (), None)
