"""What is let in is queued whole, once; what is refused leaves no trace. On a real server."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any, TypedDict, Unpack, cast

import pytest

from shared.errors import IdempotencyMismatch, QueueFull, RateLimited, TooManyRequests, TooManyRuns
from shared.queue.job_queue import JobQueue
from shared.queue.queue_depth import QueueDepth, read_depths
from shared.rate_limit_status import RateLimitStatus
from shared.redis import keys
from shared.redis.client import Redis, connect
from shared.redis.cluster_client import ClusterClient
from shared.runs.admission import Admitted, Idempotency, Occupied, Overtaken
from shared.runs.run import Run
from shared.runs.stores import Stores
from shared.settings import LimitSettings
from shared.streams.event_stream import Append, Closure
from shared.streams.events import DONE
from shared.streams.run_state import RunState
from tests.support.fakes.runs import job_of, new_run
from tests.support.processes import Valkey
from tests.support.redis_cluster import SharedCluster
from tests.support.wait import until

LIVE_TTL = 600
OWNER = "owner-1"
CHAT = "chat-1"


class Limits(TypedDict, total=False):
    requests_per_minute: int
    burst: int
    live_runs: int
    queue_depth: int


class Door:
    """Runs at an admission, each in a chat of its own unless it is named."""

    def __init__(self, stores: Stores) -> None:
        self.redis = stores.queue
        #: Where the runs are.
        self.logs = stores.logs
        self.apart = stores.split
        self.admission = stores.admission
        self.queue = JobQueue(stores.queue)
        self.chats = stores.chats
        self.runs = stores.runs
        self.stream = stores.stream

    async def admit(
        self,
        name: str,
        *,
        chat: str | None = None,
        owner: str = OWNER,
        supersede: bool = False,
        idempotency: Idempotency | None = None,
        continues: tuple[str, ...] = (),
        **limits: Unpack[Limits],
    ) -> Admitted | Occupied | Overtaken:
        run = new_run(name, owner=owner, chat_id=chat or f"chat-{name}")
        run = run.model_copy(update={"continues": continues})
        return await self.admission.admit(
            run,
            job_of(run),
            LimitSettings(**limits),
            supersede=supersede,
            idempotency=idempotency,
        )

    async def end(self, name: str) -> None:
        """A worker's end of a run."""
        takeover = await self.stream.take_over(name)
        closure = Closure(RunState.SUCCEEDED)
        await self.stream.append(Append(name, takeover.attempt, 1, [DONE], closure))
        await self.queue.remove(name)

    async def waiting(self) -> list[bytes]:
        return await self.redis.execute_command("ZRANGE", keys.QUEUE, 0, -1)

    async def depth(self) -> QueueDepth:
        return (await read_depths(self.redis, [keys.MAIN_QUEUE]))[keys.MAIN_QUEUE]

    async def tokens(self) -> int:
        return await self.redis.execute_command("LLEN", keys.wakeup(keys.QUEUE))

    async def live(self) -> list[bytes]:
        return await self.redis.execute_command("ZRANGE", keys.live_runs(OWNER), 0, -1)

    async def everything(self) -> dict[bytes, object]:
        """All keys of the queue's node, and all runs."""
        names: list[bytes] = await self.redis.execute_command("KEYS", "*")
        found = {name: await self._content(self.redis, name) for name in names}
        runs = [*await self.run_names()] if self.apart else []
        return found | {name: await self._content(self.logs, name) for name in runs}

    async def run_names(self) -> list[bytes]:
        if isinstance(self.logs, ClusterClient):
            told = await self.logs.each("KEYS", "*")
            return [name for names in told.values() for name in cast("list[bytes]", names)]
        return await self.logs.execute_command("KEYS", "*")

    async def _content(self, redis: Redis, name: bytes) -> object:
        """A hash without the order of its fields, which is none."""
        is_hash = await redis.execute_command("TYPE", name.decode()) == b"hash"
        return await redis.execute_command("HGETALL" if is_hash else "DUMP", name.decode())


@pytest.fixture(params=["one server", "a second server", "a cluster"])
async def door(
    request: pytest.FixtureRequest, valkey: Valkey, redis: Redis, clusters: SharedCluster
) -> AsyncGenerator[Door]:
    """At each place where the runs may be."""
    match request.param:
        case "one server":
            yield Door(stores(redis, redis))
        case "a second server":
            url = valkey.url.replace("/0", "/1")
            async with aclosing(connect(url, name="test", max_connections=8)) as second:
                await second.execute_command("FLUSHDB")
                yield Door(stores(redis, second))
        case _:
            async with clusters.emptied() as cluster, aclosing(cluster.client()) as client:
                yield Door(stores(redis, client))


def stores(queue: Redis, logs: Redis) -> Stores:
    cluster = logs if isinstance(logs, ClusterClient) else None
    return Stores(queue, logs, live_ttl=LIVE_TTL, retention=LIVE_TTL, cluster=cluster)


def admitted(name: str) -> Admitted:
    return Admitted(name, None, None)


# Letting in


async def test_a_run_that_is_let_in_is_the_chats_newest_and_queued(door: Door) -> None:
    assert await door.chats.newest_run(OWNER, CHAT) is None

    assert await door.admit("run-1", chat=CHAT) == admitted("run-1")

    run = await door.runs.get("run-1")
    assert run is not None
    assert (run.owner, run.chat_id, run.state) == (OWNER, CHAT, RunState.QUEUED)
    assert await door.chats.newest_run(OWNER, CHAT) == "run-1"
    assert await door.waiting() == [b"run-1"]
    assert await door.tokens() == 1


async def test_a_chat_whose_run_has_ended_gets_the_next(door: Door) -> None:
    await door.admit("run-1", chat=CHAT)
    await door.end("run-1")

    assert await door.admit("run-2", chat=CHAT) == admitted("run-2")

    assert await door.chats.newest_run(OWNER, CHAT) == "run-2"


async def test_a_chat_whose_run_is_forgotten_gets_the_next(door: Door) -> None:
    await door.admit("run-1", chat=CHAT)
    await door.logs.execute_command("DEL", keys.run("run-1"))

    assert await door.admit("run-2", chat=CHAT) == admitted("run-2")


@pytest.mark.parametrize("running", [False, True])
async def test_a_chat_with_a_live_run_is_occupied(door: Door, *, running: bool) -> None:
    await door.admit("run-1", chat=CHAT)
    if running:
        await door.stream.take_over("run-1")
    before = await door.everything()

    assert await door.admit("run-2", chat=CHAT) == Occupied("run-1")

    assert await door.everything() == before


async def test_of_two_at_once_one_wins_and_the_other_leaves_no_trace(door: Door) -> None:
    for turn in range(20):
        rivals = [f"run-{turn}-{name}" for name in "ab"]
        outcomes = await asyncio.gather(*(door.admit(name, chat=CHAT) for name in rivals))
        [winner] = [outcome for outcome in outcomes if isinstance(outcome, Admitted)]
        [loser] = [name for name in rivals if name != winner.run_id]

        assert await door.chats.newest_run(OWNER, CHAT) == winner.run_id
        assert not await door.queue.queued(loser)
        assert not await door.redis.execute_command("EXISTS", keys.job(loser))
        assert await door.runs.get(loser) is None
        await door.end(winner.run_id)


async def test_chats_of_different_owners_do_not_meet(door: Door) -> None:
    await door.admit("run-1", chat=CHAT, owner="anna")
    await door.admit("run-2", chat=CHAT, owner="bert")

    assert await door.chats.newest_run("anna", CHAT) == "run-1"
    assert await door.chats.newest_run("bert", CHAT) == "run-2"


async def test_no_owner_can_name_a_chat_into_anothers(door: Door) -> None:
    await door.admit("run-1", chat="b:c", owner="a")

    assert await door.chats.newest_run("a:b", "c") is None
    assert await door.chats.newest_run("", "a:b:c") is None


async def test_tokens_are_capped(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.runs.admission._WAKE_CAP", 3)

    for number in range(5):
        await door.admit(f"run-{number}")

    assert await door.tokens() == 3
    assert len(await door.waiting()) == 5


async def test_every_key_lives_as_long_as_a_run_may_wait(door: Door) -> None:
    await door.admit("run-1", idempotency=Idempotency("key", "a"))

    names: list[bytes] = await door.redis.execute_command("KEYS", "*")
    assert len(names) == 7
    mark = keys.admitted("run-1").encode()
    for name in set(names) - {mark}:
        left: int = await door.redis.execute_command("PTTL", name)
        assert LIVE_TTL * 1000 - 30_000 < left <= LIVE_TTL * 1000


async def test_the_queue_is_ordered_by_the_servers_clock(door: Door) -> None:
    seconds, micros = await door.redis.execute_command("TIME")
    await door.admit("run-1")
    await door.admit("run-2")

    score = float(await door.redis.execute_command("ZSCORE", keys.QUEUE, "run-1"))

    assert await door.waiting() == [b"run-1", b"run-2"]
    assert 0 <= score - (int(seconds) * 1000 + int(micros) // 1000) < 10_000


async def test_a_server_that_has_forgotten_the_script_is_told_it_again(door: Door) -> None:
    await door.redis.execute_command("SCRIPT", "FLUSH")

    assert await door.admit("run-1") == admitted("run-1")


# A lost reply


async def test_the_same_run_again_changes_nothing_and_spends_nothing(door: Door) -> None:
    limits: Limits = {"requests_per_minute": 1, "burst": 2, "live_runs": 1, "queue_depth": 1}
    first = await door.admit("run-1", **limits)
    before = await door.everything()

    again = await door.admit("run-1", **limits)

    assert isinstance(first, Admitted)
    assert isinstance(again, Admitted)
    assert again.run_id == "run-1"
    assert again.allowance is not None
    assert again.allowance.remaining == 1
    assert await door.everything() == before


async def test_the_same_run_again_after_the_next_has_come_is_still_let_in(door: Door) -> None:
    await door.admit("run-1", chat=CHAT)
    await door.admit("run-2", chat=CHAT, supersede=True)

    assert await door.admit("run-1", chat=CHAT) == admitted("run-1")

    assert await door.chats.newest_run(OWNER, CHAT) == "run-2"


# The rate


async def test_a_burst_is_let_in_and_then_the_rate_holds(door: Door) -> None:
    limits: Limits = {"requests_per_minute": 1, "burst": 3}

    outcomes = [await door.admit(f"run-{number}", **limits) for number in range(3)]
    before = await door.everything()
    with pytest.raises(RateLimited) as refused:
        await door.admit("run-3", **limits)

    left = [outcome.allowance for outcome in outcomes if isinstance(outcome, Admitted)]
    assert [allowance.remaining for allowance in left if allowance] == [2, 1, 0]
    assert 50 <= refused.value.retry_after <= 60
    assert refused.value.rate_limit is not None
    assert refused.value.rate_limit[:4] == ("runs", 3, 0, 180)
    assert await door.everything() == before


async def test_what_is_spent_comes_back_after_as_long_as_was_said(door: Door) -> None:
    limits: Limits = {"requests_per_minute": 240, "burst": 1}
    await door.admit("run-0", **limits)
    with pytest.raises(RateLimited) as refused:
        await door.admit("run-1", **limits)

    async def let_in() -> bool:
        try:
            return bool(await door.admit("run-1", **limits))
        except RateLimited:
            return False

    assert refused.value.retry_after == 1
    assert await until(let_in, seconds=5)


async def test_an_owners_rate_is_its_own(door: Door) -> None:
    await door.admit("run-1", owner="anna", requests_per_minute=1, burst=1)

    assert await door.admit("run-2", owner="bert", requests_per_minute=1, burst=1)


async def test_a_rate_that_was_raised_holds_at_once(door: Door) -> None:
    await door.admit("run-1", requests_per_minute=1, burst=1)
    with pytest.raises(RateLimited):
        await door.admit("run-2", requests_per_minute=1, burst=1)

    assert await door.admit("run-2", requests_per_minute=1, burst=2)
    assert await door.admit("run-3", requests_per_minute=0)


async def test_a_burst_that_was_lowered_costs_no_more_than_its_own_time(door: Door) -> None:
    for number in range(50):
        await door.admit(f"run-{number}", requests_per_minute=60, burst=50)

    with pytest.raises(RateLimited) as refused:
        await door.admit("late", requests_per_minute=60, burst=2)

    assert refused.value.retry_after == 1


async def test_an_occupied_chat_spends_nothing(door: Door) -> None:
    limits: Limits = {"requests_per_minute": 1, "burst": 2}
    await door.admit("run-1", chat=CHAT, **limits)
    for number in range(5):
        await door.admit(f"again-{number}", chat=CHAT, **limits)

    assert await door.admit("run-2", **limits)


# Live runs


async def test_only_so_many_runs_of_an_owner_are_live(door: Door) -> None:
    for name in ("run-1", "run-2"):
        await door.admit(name, live_runs=2)
    await door.stream.take_over("run-1")
    before = await door.everything()

    with pytest.raises(TooManyRuns) as refused:
        await door.admit("run-3", live_runs=2)

    assert refused.value.rate_limit == RateLimitStatus("live-runs", 2, 0)
    assert 1 <= refused.value.retry_after <= 30
    assert await door.everything() == before
    assert await door.admit("run-3", owner="bert", live_runs=2)


async def test_a_run_that_ends_makes_room(door: Door) -> None:
    await door.admit("run-1", live_runs=1)

    await door.end("run-1")

    assert await door.admit("run-2", live_runs=1) == admitted("run-2")
    assert await door.live() == [b"run-2"]


@pytest.mark.parametrize("fate", ["ended", "forgotten"])
async def test_a_run_whose_end_was_missed_does_not_count(door: Door, fate: str) -> None:
    for name in ("run-1", "run-2"):
        await door.admit(name, live_runs=2)
    if fate == "ended":
        await door.logs.execute_command("HSET", keys.run("run-1"), "state", "failed")
    else:
        await door.logs.execute_command("DEL", keys.run("run-1"))

    assert await door.admit("run-3", live_runs=2) == admitted("run-3")

    assert await door.live() == [b"run-2", b"run-3"]


async def test_runs_count_though_the_limit_was_off_when_they_came(door: Door) -> None:
    for number in range(5):
        await door.admit(f"run-{number}")

    with pytest.raises(TooManyRuns):
        await door.admit("late", live_runs=5)


async def test_a_run_that_waited_longer_than_any_may_is_not_counted(door: Door) -> None:
    await door.admit("run-1")
    await door.redis.execute_command("ZADD", keys.live_runs(OWNER), 1, "run-0")

    await door.admit("run-2")

    assert await door.live() == [b"run-1", b"run-2"]


# The queue


async def test_a_full_queue_takes_no_more_of_anybody(door: Door) -> None:
    for name in ("run-1", "run-2"):
        await door.admit(name, owner=name, queue_depth=2)
    before = await door.everything()

    with pytest.raises(QueueFull) as refused:
        await door.admit("run-3", owner="carl", queue_depth=2)

    assert 1 <= refused.value.retry_after <= 30
    assert await door.everything() == before


async def test_a_full_queue_is_asked_again_after_as_long_as_its_oldest_has_waited(
    door: Door,
) -> None:
    await door.admit("run-1")
    score = float(await door.redis.execute_command("ZSCORE", keys.QUEUE, "run-1"))
    await door.redis.execute_command("ZADD", keys.QUEUE, score - 15_000, "run-1")

    with pytest.raises(QueueFull) as refused:
        await door.admit("run-2", queue_depth=1)

    assert 15 <= refused.value.retry_after < 30


async def test_runs_that_a_worker_has_do_not_fill_the_queue(door: Door) -> None:
    await door.admit("run-1", queue_depth=1)
    await door.redis.execute_command("ZINCRBY", keys.QUEUE, 30_000, "run-1")

    assert await door.admit("run-2", queue_depth=1) == admitted("run-2")


async def test_without_a_limit_any_number_waits(door: Door) -> None:
    for number in range(20):
        assert await door.admit(f"run-{number}", queue_depth=0)


# Superseding


async def test_the_superseded_run_is_told_to_stop_and_the_next_waits_for_it(door: Door) -> None:
    await door.admit("run-1", chat=CHAT)

    outcome = await door.admit("run-2", chat=CHAT, supersede=True)

    assert outcome == Admitted("run-2", "run-1", None)
    superseded = await door.runs.get("run-1")
    assert superseded is not None
    assert superseded.cancel == 1
    assert await door.chats.newest_run(OWNER, CHAT) == "run-2"
    assert (await door.depth())[:3] == (1, 0, 1)
    assert await door.tokens() == 1


async def test_a_superseding_run_whose_reply_was_lost_learns_again_what_it_supersedes(
    door: Door,
) -> None:
    await door.admit("run-1", chat=CHAT)
    first = await door.admit("run-2", chat=CHAT, supersede=True)
    before = await door.everything()

    assert await door.admit("run-2", chat=CHAT, supersede=True) == first

    assert await door.everything() == before


async def test_superseding_an_answer_that_has_ended_waits_for_nothing(door: Door) -> None:
    await door.admit("run-1", chat=CHAT)
    await door.end("run-1")

    assert await door.admit("run-2", chat=CHAT, supersede=True) == admitted("run-2")

    assert (await door.depth()).waiting == 1


REFUSALS: list[Limits] = [
    {"requests_per_minute": 1, "burst": 1},
    {"live_runs": 1},
    {"queue_depth": 1},
]


@pytest.mark.parametrize("limits", REFUSALS, ids=lambda limits: next(iter(limits)))
async def test_a_superseding_run_that_is_refused_stops_nothing(door: Door, limits: Limits) -> None:
    await door.admit("run-1", chat=CHAT, **limits)
    await door.admit("other")
    before = await door.everything()

    with pytest.raises(TooManyRequests):
        await door.admit("run-2", chat=CHAT, supersede=True, **limits)

    assert await door.everything() == before


async def test_the_superseded_run_does_not_count_against_its_successor(door: Door) -> None:
    await door.admit("run-1", chat=CHAT, live_runs=1)

    assert await door.admit("run-2", chat=CHAT, supersede=True, live_runs=1) == Admitted(
        "run-2", "run-1", None
    )


async def test_of_many_superseding_runs_each_ends_the_one_before(door: Door) -> None:
    await door.admit("run-0", chat=CHAT)
    names = [f"run-{number}" for number in range(1, 20)]

    outcomes = await asyncio.gather(
        *(door.admit(name, chat=CHAT, supersede=True) for name in names)
    )

    superseded = [outcome.superseded for outcome in outcomes if isinstance(outcome, Admitted)]
    newest = await door.chats.newest_run(OWNER, CHAT)
    assert sorted([*filter(None, superseded), str(newest)]) == sorted(["run-0", *names])


# The same request again


async def test_a_key_that_was_used_leads_to_the_same_run(door: Door) -> None:
    key = Idempotency.of("key", b"Hi")
    await door.admit("run-1", chat=CHAT, idempotency=key)
    before = await door.everything()

    assert await door.admit("run-2", chat=CHAT, idempotency=key) == admitted("run-1")

    assert await door.everything() == before


async def test_a_key_that_was_used_is_let_in_whatever_the_limits(door: Door) -> None:
    key = Idempotency.of("key", b"Hi")
    limits: Limits = {"requests_per_minute": 1, "burst": 1, "live_runs": 1, "queue_depth": 1}
    await door.admit("run-1", idempotency=key, **limits)

    again = await door.admit("run-2", idempotency=key, **limits)

    assert isinstance(again, Admitted)
    assert again.run_id == "run-1"


async def test_a_key_that_was_used_for_something_else_is_refused(door: Door) -> None:
    await door.admit("run-1", idempotency=Idempotency.of("key", b"Hi"))
    before = await door.everything()

    with pytest.raises(IdempotencyMismatch):
        await door.admit("run-2", idempotency=Idempotency.of("key", b"Ho"))

    assert await door.everything() == before


async def test_a_key_of_a_run_that_is_no_longer_kept_is_free_again(door: Door) -> None:
    await door.admit("run-1", idempotency=Idempotency.of("key", b"Hi"))
    await door.logs.execute_command("DEL", keys.run("run-1"))

    assert await door.admit("run-2", idempotency=Idempotency.of("key", b"Ho")) == admitted("run-2")


async def test_a_refused_request_does_not_use_its_key(door: Door) -> None:
    key = Idempotency.of("key", b"Hi")
    await door.admit("run-1", live_runs=1)
    with pytest.raises(TooManyRuns):
        await door.admit("run-2", idempotency=key, live_runs=1)

    assert await door.admit("run-3", idempotency=key) == admitted("run-3")


async def test_keys_of_different_owners_do_not_meet(door: Door) -> None:
    key = Idempotency.of("key", b"Hi")
    await door.admit("run-1", owner="anna", idempotency=key)

    assert await door.admit("run-2", owner="bert", idempotency=key) == admitted("run-2")


async def test_of_many_with_one_key_at_once_one_run_is_made(door: Door) -> None:
    key = Idempotency.of("key", b"Hi")

    outcomes = await asyncio.gather(
        *(door.admit(f"run-{number}", idempotency=key) for number in range(50))
    )

    assert len({outcome.run_id for outcome in outcomes}) == 1
    assert len(await door.waiting()) == 1


# Many at once


@pytest.mark.parametrize(
    ("limits", "error"),
    [
        ({"requests_per_minute": 1, "burst": 7}, RateLimited),
        ({"live_runs": 7}, TooManyRuns),
        ({"queue_depth": 7}, QueueFull),
    ],
    ids=["rate", "live runs", "depth"],
)
async def test_of_fifty_at_once_exactly_as_many_as_may_are_let_in(
    door: Door, limits: Limits, error: type[TooManyRequests]
) -> None:
    outcomes: Sequence[Any] = await asyncio.gather(
        *(door.admit(f"run-{number}", **limits) for number in range(50)), return_exceptions=True
    )

    let_in = [outcome.run_id for outcome in outcomes if isinstance(outcome, Admitted)]
    assert len(let_in) == 7
    assert [type(outcome) for outcome in outcomes if isinstance(outcome, Exception)] == [error] * 43
    assert sorted(await door.waiting()) == sorted(name.encode() for name in let_in)
    runs: list[Run | None] = [await door.runs.get(f"run-{number}") for number in range(50)]
    assert sorted(run.id for run in runs if run) == sorted(let_in)


# Continuing


async def test_the_logs_of_a_message_live_as_long_as_the_run_that_continues_it(door: Door) -> None:
    names = [key(f"run-{number}") for number in (1, 2) for key in (keys.run, keys.stream)]
    for number, continues in enumerate([(), ("run-1",)], start=1):
        await door.admit(f"run-{number}", chat=CHAT, continues=continues)
        await door.end(f"run-{number}")
    for name in names:
        await door.logs.execute_command("PEXPIRE", name, 1000)

    assert await door.admit("run-3", chat=CHAT, continues=("run-1", "run-2")) == admitted("run-3")

    for name in names:
        assert await door.logs.execute_command("PTTL", name) > 1000
    run = await door.runs.get("run-3")
    assert run is not None
    assert run.continues == ("run-1", "run-2")


@pytest.mark.parametrize("supersede", [False, True])
async def test_of_two_that_continue_a_run_the_second_changes_nothing(
    door: Door,
    supersede: bool,  # noqa: FBT001
) -> None:
    await door.admit("run-1", chat=CHAT)
    await door.end("run-1")
    await door.admit("run-2", chat=CHAT, continues=("run-1",))
    before = await door.everything()

    live = await door.admit("run-3", chat=CHAT, continues=("run-1",), supersede=supersede)
    assert (live, await door.everything()) == (Occupied("run-2"), before)

    await door.end("run-2")
    late = await door.admit("run-3", chat=CHAT, continues=("run-1",), supersede=supersede)
    assert late == Overtaken("run-2")


async def test_a_run_whose_chat_is_forgotten_is_not_continued(door: Door) -> None:
    assert await door.admit("run-2", chat=CHAT, continues=("run-1",)) == Overtaken("")


async def test_the_run_of_a_key_can_be_asked_for(door: Door) -> None:
    key, other = Idempotency.of("k", b"a"), Idempotency.of("k", b"b")
    assert await door.admission.known(OWNER, key) is None

    await door.admit("run-1", idempotency=key)

    assert await door.admission.known(OWNER, key) == "run-1"
    with pytest.raises(IdempotencyMismatch):
        await door.admission.known(OWNER, other)
