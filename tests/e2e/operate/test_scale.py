"""Many chats at once: each is whole, a new one does not wait, and Redis is not crowded."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from shared.redis import keys
from tests.e2e.conftest import House
from tests.support.sse_client import Json, Stream, Wire, check_whole, text

pytestmark = pytest.mark.asyncio(loop_scope="session")

MANY = 200
HELD: list[list[Json]] = [[{"text": ["Hel"]}, {"wait": True}, {"text": ["lo"]}]]

#: The pool's default, and the subscriber.
CONNECTIONS = 16 + 1


async def test_one_worker_answers_two_hundred_chats_at_once(
    vacant: House, wire: Wire, name: str
) -> None:
    await vacant.upstream.script(name, [[{"words": 20, "delay": 0.02}]])

    async with vacant.staff():
        urls = (vacant.chat, vacant.other_chat)
        asking = [wire.answer(urls[n % 2], f"{name}-{n}", model=name) for n in range(MANY)]
        answers = await asyncio.gather(*asking)

    for events in answers:
        check_whole(events)
        assert text(events) == " ".join(f"w{n}" for n in range(20))
    assert len(await vacant.upstream.requests(name)) == MANY


async def test_a_new_chat_does_not_wait_behind_two_hundred_in_progress(
    vacant: House, wire: Wire, name: str
) -> None:
    quick = f"{name}-quick"
    await vacant.upstream.script(name, HELD)
    await vacant.upstream.script(quick, [[{"text": ["At once"]}]])

    async with vacant.staff(), _many_begun(vacant, wire, name) as streams:
        asked = time.monotonic()
        answer = await wire.answer(vacant.chat, quick, model=quick)
        assert time.monotonic() - asked < 1
        check_whole(answer)

        clients = await _clients(vacant)
        assert clients["mamba-worker"] <= CONNECTIONS
        assert clients["mamba-api"] <= CONNECTIONS * len(vacant.apis)

        await vacant.upstream.release(name)
        for events in await asyncio.gather(*(stream.rest() for stream in streams)):
            assert text(events) == "lo"


async def test_two_workers_share_a_burst(vacant: House, wire: Wire, name: str) -> None:
    await vacant.upstream.script(name, HELD)

    async with vacant.staff(2), _many_begun(vacant, wire, name) as streams, vacant.redis() as redis:
        leases = [keys.lease(stream.run_id) for stream in streams]
        holders: list[bytes] = await redis.execute_command("MGET", *leases)
        shares = Counter(holders)
        assert len(shares) == 2
        assert min(shares.values()) >= MANY // 10

        await vacant.upstream.release(name)
        await asyncio.gather(*(stream.rest() for stream in streams))


@asynccontextmanager
async def _many_begun(house: House, wire: Wire, model: str) -> AsyncGenerator[list[Stream]]:
    """Chats whose answers have begun, and are held by the model."""
    async with AsyncExitStack() as stack:
        asking = [wire.ask(house.chat, f"{model}-{n}", model=model) for n in range(MANY)]
        streams = await asyncio.gather(*map(stack.enter_async_context, asking))
        await asyncio.gather(*(stream.until("text-delta") for stream in streams))
        yield streams


async def _clients(house: House) -> Counter[str]:
    """Connections to Redis by the kind of process."""
    async with house.redis() as redis:
        listing: bytes = await redis.execute_command("CLIENT", "LIST")
    fields = [dict(f.split("=", 1) for f in line.split()) for line in listing.decode().splitlines()]
    return Counter(client["name"].partition(":")[0] for client in fields)
