"""A superseding run waits only as long as its API process lives."""

import asyncio

import httpx

from shared.redis import keys
from shared.redis.client import Redis
from shared.runs.admission import SUPERSEDE_SECONDS
from tests.support.processes import Api, Valkey, start_all, stop_all
from tests.support.wait import until


async def test_superseding_run_is_due_soon_after_its_api_was_killed(
    valkey: Valkey, redis: Redis
) -> None:
    api = Api(valkey.url)
    await start_all(api)
    try:
        async with httpx.AsyncClient(base_url=api.url, timeout=30) as client:
            chat = {"id": "chat", "messages": [{"role": "user", "content": "Hi"}]}
            async with client.stream("POST", "/chat", json=chat) as first:
                run_id = first.headers["x-run-id"]
            # This worker never stops the run.
            await redis.execute_command("SET", keys.lease(run_id), "worker", "PX", 60_000)
            asking = asyncio.create_task(client.post("/chat", json={**chat, "supersede": True}))
            [successor] = await until(lambda: _queued_besides(redis, run_id))
            due = await _due(redis, successor)
            await until(lambda: _is_later(redis, successor, due))

            await api.kill()

            assert await _due(redis, successor) - await _now(redis) <= SUPERSEDE_SECONDS * 1000
            await asyncio.gather(asking, return_exceptions=True)
    finally:
        await stop_all(api)


async def _queued_besides(redis: Redis, run_id: str) -> list[str]:
    queued: list[bytes] = await redis.execute_command("ZRANGE", keys.QUEUE, 0, -1)
    return [name.decode() for name in queued if name.decode() != run_id]


async def _due(redis: Redis, run_id: str) -> float:
    return float(await redis.execute_command("ZSCORE", keys.QUEUE, run_id))


async def _is_later(redis: Redis, run_id: str, due: float) -> bool:
    return await _due(redis, run_id) > due


async def _now(redis: Redis) -> float:
    seconds, micros = await redis.execute_command("TIME")
    return int(seconds) * 1000 + int(micros) / 1000
