"""Run lookup finds a client's run and the cursor to follow it from."""

import pytest

from api.auth.principal import Principal
from api.streaming.cursor import ClientCursor
from api.streaming.run_lookup import RunLookup
from shared.errors import CursorLost, NotFound, RunExpired
from shared.redis import keys
from shared.redis.client import Redis
from shared.runs.chat_index import ChatIndex
from shared.runs.store import RunStore
from shared.streams.event_stream import (
    START,
    Append,
    Closure,
    Cursor,
    RedisEventStream,
)
from shared.streams.events import DONE
from shared.streams.run_state import RunState
from tests.support.fakes.runs import new_run

OWNER = Principal("owner-1")
STRANGER = Principal("owner-2")


class LookupHarness:
    """Two runs of a chat. Each has one event; the older one has ended."""

    def __init__(self, redis: Redis) -> None:
        self.redis = redis
        self.runs = RunStore(redis, live_ttl=600)
        self.stream = RedisEventStream(redis, live_ttl=600, retention=60)
        self.lookup = RunLookup(self.runs, ChatIndex(redis), self.stream)

    async def prepare(self) -> None:
        index = keys.chat(OWNER.owner, "chat-1")
        await self.redis.execute_command("SET", index, "newer", "PX", 60_000)
        for run_id in ("older", "newer"):
            await self.runs.create(new_run(run_id))
            await self.stream.take_over(run_id)
            await self.stream.append(Append(run_id, 1, 1, [b"event"]))
        await self.stream.append(Append("older", 1, 2, [DONE], Closure(RunState.SUCCEEDED)))

    async def find(self, principal: Principal, chat_id: str, run_id: str | None) -> str | None:
        cursor = ClientCursor(START, run_id) if run_id else None
        run = await self.lookup.find(principal, chat_id, cursor)
        return run.id if run else None

    async def is_over(self, run_id: str, after: Cursor) -> bool:
        run = await self.runs.get(run_id)
        assert run is not None
        return await self.lookup.is_over(run, ClientCursor(after, run_id))


@pytest.fixture
async def harness(redis: Redis) -> LookupHarness:
    harness = LookupHarness(redis)
    await harness.prepare()
    return harness


async def test_newest_run_of_the_chat_is_found(harness: LookupHarness) -> None:
    assert await harness.find(OWNER, "chat-1", None) == "newer"
    assert await harness.find(OWNER, "chat-2", None) is None


async def test_run_of_the_cursor_is_found(harness: LookupHarness) -> None:
    assert await harness.find(OWNER, "chat-1", "older") == "older"


async def test_cursor_of_an_expired_run_is_refused(harness: LookupHarness) -> None:
    with pytest.raises(RunExpired):
        await harness.find(OWNER, "chat-1", "gone")


@pytest.mark.parametrize("run_id", ["older", "gone"])
async def test_cursor_of_another_owner_seems_to_be_expired(
    harness: LookupHarness, run_id: str
) -> None:
    with pytest.raises(RunExpired):
        await harness.find(STRANGER, "chat-1", run_id)


async def test_cursor_of_another_chat_is_not_found(harness: LookupHarness) -> None:
    with pytest.raises(NotFound):
        await harness.find(OWNER, "chat-2", "older")


async def test_named_run_is_found_only_for_its_owner(harness: LookupHarness) -> None:
    found = await harness.lookup.find_run(OWNER, "chat-1", "older")

    assert found is not None
    assert found.id == "older"
    assert await harness.lookup.find_run(STRANGER, "chat-1", "older") is None
    assert await harness.lookup.find_run(OWNER, "chat-1", "gone") is None
    with pytest.raises(NotFound):
        await harness.lookup.find_run(OWNER, "chat-2", "older")


async def test_run_is_over_for_a_cursor_at_its_end(harness: LookupHarness) -> None:
    assert not await harness.is_over("older", Cursor(1, 1))
    assert await harness.is_over("older", Cursor(1, 2))
    assert not await harness.is_over("newer", Cursor(1, 1))
    assert not await harness.is_over("newer", START)


@pytest.mark.parametrize("cursor", [Cursor(1, 2), Cursor(7, 1), Cursor(0, 1)])
async def test_cursor_without_an_event_is_refused(harness: LookupHarness, cursor: Cursor) -> None:
    with pytest.raises(CursorLost):
        await harness.is_over("newer", cursor)


async def test_cursor_of_a_replay_is_checked_in_its_source(harness: LookupHarness) -> None:
    run = new_run("newer").model_copy(update={"continues": ("older",)})

    async def is_over(cursor: Cursor, source: str) -> bool:
        return await harness.lookup.is_over(run, ClientCursor(cursor, "newer", source))

    assert not await is_over(START, "older")
    assert not await is_over(Cursor(1, 2), "older")
    assert not await is_over(Cursor(1, 1), "newer")
    for cursor, source in ((Cursor(1, 3), "older"), (START, "stranger"), (Cursor(1, 2), "newer")):
        with pytest.raises(CursorLost):
            await is_over(cursor, source)


async def test_continued_runs_must_all_be_stored(harness: LookupHarness) -> None:
    async def earlier(*run_ids: str) -> tuple[str, ...] | None:
        run = new_run().model_copy(update={"continues": run_ids})
        return await harness.lookup.earlier_runs(run)

    assert await earlier("older", "newer") == ("older", "newer")
    assert await earlier() == ()
    assert await earlier("older", "gone") is None


async def test_run_is_found_by_its_id_only_for_its_owner(harness: LookupHarness) -> None:
    found = await harness.lookup.find_chat_or_run(OWNER, "older")

    assert found is not None
    assert found.id == "older"
    assert await harness.lookup.find_chat_or_run(STRANGER, "older") is None
    assert await harness.lookup.find_chat_or_run(OWNER, "unknown") is None
