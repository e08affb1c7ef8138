"""A deployment with several owners and few slots, and a minimal client for it."""

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from bench.servers import open_upstream
from bench.upstream import BenchUpstream
from shared.queue.announced_waits import AnnouncedWait
from shared.redis import keys
from shared.redis.client import Redis
from shared.runs.run import Run
from shared.runs.store import RunStore
from tests.support.processes import Api, Valkey, Worker, start_all, stop_all
from tests.support.wait import until

_UNLIMITED = {"MAMBA_LIMITS__STREAMS": "0", "MAMBA_LIMITS__QUEUE_DEPTH": "0"}
_TTL = 600.0


class SmallDeployment:
    """Valkey, one API process, and workers that can be added."""

    def __init__(
        self, upstream: BenchUpstream, valkey: Valkey, api: Api, stack: AsyncExitStack
    ) -> None:
        self._upstream = upstream
        self._valkey = valkey
        self._api = api
        self._stack = stack
        self._workers = 0
        self.redis: Redis = valkey.client()
        self._runs = RunStore(self.redis, live_ttl=_TTL)
        stack.push_async_callback(self.redis.aclose)

    async def add_workers(self, count: int, *, slots: int) -> None:
        env = {"MAMBA_WORKER__CONCURRENCY": str(slots)}
        workers = [Worker(self._valkey.url, self._upstream.base_url, env) for _ in range(count)]
        self._stack.push_async_callback(stop_all, *workers)
        self._workers += count
        await start_all(*workers)
        await until(self._all_are_registered, seconds=30)

    async def _all_are_registered(self) -> bool:
        return await self.redis.execute_command("ZCARD", keys.WORKERS) == self._workers

    async def start_run(self, owner: str, model: str) -> str:
        """Start a run, disconnect, and return its ID."""
        async with self._request(owner, model) as (run_id, _):
            return run_id

    async def follow(self, owner: str, model: str) -> AnnouncedWait | None:
        """Follow a run until it starts. Return the first wait that it announces."""
        announced: tuple[int, int] | None = None
        announced_at = 0.0
        async with self._request(owner, model) as (_, reader):
            async for line in reader:
                if not line.startswith(b"data: {"):
                    continue
                event = json.loads(line[6:])
                if event["type"] != "data-queue":
                    break
                if announced is None and "etaSeconds" in event["data"]:
                    shortest, longest = event["data"]["etaSeconds"]
                    announced, announced_at = (shortest, longest), time.monotonic()
        if announced is None:
            return None
        return AnnouncedWait(*announced, time.monotonic() - announced_at)

    @asynccontextmanager
    async def _request(
        self, owner: str, model: str
    ) -> AsyncGenerator[tuple[str, asyncio.StreamReader]]:
        """Open `POST /chat`. Yield the run's id, and the response after its headers."""
        message = {"role": "user", "parts": [{"type": "text", "text": "Go"}]}
        body = json.dumps({"model": model, "messages": [message]}).encode()
        head = (
            f"POST /chat HTTP/1.1\r\nhost: bench\r\nx-api-key: {_key(owner)}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        reader, writer = await asyncio.open_connection("127.0.0.1", self._api.port)
        try:
            writer.write(head.encode() + body)
            headers = (await reader.readuntil(b"\r\n\r\n")).decode()
            if " 200 " not in headers:
                raise ValueError(headers)
            yield headers.partition("x-run-id: ")[2].partition("\r\n")[0], reader
        finally:
            writer.close()

    async def unfinished(self) -> int:
        return await self.redis.execute_command("ZCARD", keys.QUEUE)

    async def ended_runs(self, run_ids: Sequence[str]) -> list[Run]:
        """Wait until these runs have ended, and return them."""
        while True:
            found = await self._runs.get_many(run_ids)
            if all(found[run_id].ended_at for run_id in run_ids):
                return [found[run_id] for run_id in run_ids]
            await asyncio.sleep(0.5)

    async def runs(self, run_ids: Sequence[str]) -> list[Run]:
        return [*(await self._runs.get_many(run_ids)).values()]

    async def worker_of(self, run_id: str) -> str:
        """Return the id of the worker that made the first attempt."""
        return (await self._runs.fields(run_id))["worker:1"].partition(" ")[0]


@asynccontextmanager
async def open_deployment(
    owners: Sequence[str], *, workers: int, slots: int
) -> AsyncGenerator[SmallDeployment]:
    entries = [{"name": owner, "key": _key(owner)} for owner in owners]
    env = {"MAMBA_AUTH__MODE": "api_key", "MAMBA_AUTH__API_KEYS": json.dumps(entries)}
    async with open_upstream() as upstream, AsyncExitStack() as stack:
        valkey = Valkey()
        stack.push_async_callback(stop_all, valkey)
        await start_all(valkey)
        api = Api(valkey.url, env | _UNLIMITED)
        stack.push_async_callback(stop_all, api)
        await start_all(api)
        deployment = SmallDeployment(upstream, valkey, api, stack)
        await deployment.add_workers(workers, slots=slots)
        yield deployment


def _key(owner: str) -> str:
    return f"key-of-{owner}-0123456789"
