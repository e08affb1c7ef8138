"""Many concurrent chats: all answers are complete, and Redis connections stay few."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from shared.redis import keys
from shared.redis.client import Redis
from tests.support.sse_client import Json, SseClient, Stream, check_whole, text
from tests.support.system.running_system import System
from tests.support.wait import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

CHAT_COUNT = 200
PAUSED: list[list[Json]] = [[{"text": ["Hel"]}, {"wait": True}, {"text": ["lo"]}]]

#: The leases of a worker that gets no processor time for some seconds do not expire.
LEASE_SECONDS = 60
#: Connections of one process: a full default pool and the subscriber.
CONNECTIONS = 16 + 1


async def test_one_worker_runs_200_chats_concurrently(
    workerless: System, sse: SseClient, name: str
) -> None:
    await workerless.upstream.script(name, [[{"words": 20, "delay": 0.02}]])

    async with workerless.start_workers(WORKER__LEASE_SECONDS=LEASE_SECONDS):
        urls = (workerless.chat, workerless.other_chat)
        asking = [sse.answer(urls[n % 2], f"{name}-{n}", model=name) for n in range(CHAT_COUNT)]
        answers = await asyncio.gather(*asking)

    for events in answers:
        check_whole(events)
        assert text(events) == " ".join(f"w{n}" for n in range(20))
    assert len(await workerless.upstream.requests(name)) == CHAT_COUNT


async def test_new_chat_is_not_blocked_by_200_running_chats(
    workerless: System, sse: SseClient, name: str
) -> None:
    quick = f"{name}-quick"
    await workerless.upstream.script(name, PAUSED)
    await workerless.upstream.script(quick, [[{"text": ["At once"]}]])

    async with (
        workerless.start_workers(WORKER__LEASE_SECONDS=LEASE_SECONDS),
        _paused_chats(workerless, sse, name) as streams,
    ):
        async with asyncio.timeout(60):
            check_whole(await sse.answer(workerless.chat, quick, model=quick))

        connections = await _connections(workerless)
        assert connections["mamba-worker"] <= CONNECTIONS
        assert connections["mamba-api"] <= CONNECTIONS * len(workerless.apis)

        await workerless.upstream.release(name)
        for events in await asyncio.gather(*(stream.rest() for stream in streams)):
            assert text(events) == "lo"


@pytest.mark.parametrize(("workers", "chats", "most"), [(2, CHAT_COUNT, 140), (6, 60, 20)])
async def test_no_idle_worker_takes_most_of_a_burst(
    workerless: System, sse: SseClient, name: str, workers: int, chats: int, most: int
) -> None:
    await workerless.upstream.script(name, PAUSED)

    async with (
        workerless.start_workers(workers, WORKER__LEASE_SECONDS=LEASE_SECONDS),
        workerless.redis() as redis,
    ):
        # How many runs a worker claims depends on the number of workers.
        await until(lambda: _are_registered(redis, workers))
        async with _paused_chats(workerless, sse, name, chats) as streams:
            leases = [keys.lease(stream.run_id) for stream in streams]
            holders: list[bytes] = await redis.execute_command("MGET", *leases)
            runs_of = Counter(holders)
            assert len(runs_of) == workers
            # The chats arrive one after another. Claims are limited to the jobs per worker so far,
            # but how often a worker claims is left to chance.
            assert max(runs_of.values()) <= most, runs_of

            await workerless.upstream.release(name)
            await asyncio.gather(*(stream.rest() for stream in streams))


async def _are_registered(redis: Redis, workers: int) -> bool:
    return await redis.execute_command("ZCARD", keys.WORKERS) == workers


@asynccontextmanager
async def _paused_chats(
    system: System, sse: SseClient, model: str, count: int = CHAT_COUNT
) -> AsyncGenerator[list[Stream]]:
    """Open chats whose answers have started and wait for the model."""
    async with AsyncExitStack() as stack:
        asking = [sse.ask(system.chat, f"{model}-{n}", model=model) for n in range(count)]
        streams = await asyncio.gather(*map(stack.enter_async_context, asking))
        await asyncio.gather(*(stream.until("text-delta") for stream in streams))
        yield streams


async def _connections(system: System) -> Counter[str]:
    """Count the Redis connections by kind of process."""
    async with system.redis() as redis:
        listing: bytes = await redis.execute_command("CLIENT", "LIST")
    fields = [dict(f.split("=", 1) for f in line.split()) for line in listing.decode().splitlines()]
    return Counter(client["name"].partition(":")[0] for client in fields)
