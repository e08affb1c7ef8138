"""Measures the replay of a long answer by one API process: its time, its CPU time, and its bytes.

Run it with `python -m bench.replay`. Without a worker, the benchmark itself writes the answer.
"""

import statistics
import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import NamedTuple

import httpx
import uvloop

from bench.table import Row, at_most, single
from bench.usage import cpu_seconds
from shared.redis.client import connect
from shared.streams.event_stream import Append, Closure, RedisEventStream
from shared.streams.events import (
    DONE,
    Event,
    Finish,
    FinishStep,
    Start,
    StartStep,
    TextDelta,
    TextEnd,
    TextStart,
)
from shared.streams.run_state import RunState
from tests.support.processes import Api, Valkey, start_all, stop_all

WORDS = 3000
REPLAYS = 100
_APPENDED = 50
_TTL = 600.0


class ReplayCost(NamedTuple):
    """The cost of one replay. Times are in milliseconds; the first one is a median."""

    duration: float
    api_cpu: float
    redis_cpu: float
    #: The bytes of the response's body per byte of text.
    bytes_ratio: float


async def write_answer(api_url: str, redis_url: str, chat: str, words: int = WORDS) -> int:
    """Start a run and write its answer word by word. Return the bytes of the text."""
    body = {"id": chat, "messages": [{"role": "user", "content": "Go"}]}
    async with (
        httpx.AsyncClient(timeout=60) as client,
        client.stream("POST", f"{api_url}/chat", json=body) as response,
    ):
        run_id = response.headers["x-run-id"]
    texts = [f"word{n} " for n in range(words)]
    deltas = [TextDelta(id="text-1", delta=text) for text in texts]
    events: list[Event] = [Start(message_id="m"), StartStep(), TextStart(id="text-1"), *deltas]
    events += [TextEnd(id="text-1"), FinishStep(), Finish(finish_reason="stop")]
    lines = [*(event.encode() for event in events), DONE]
    redis = connect(redis_url, name="bench", max_connections=1)
    stream = RedisEventStream(redis, live_ttl=_TTL, retention=_TTL)
    attempt = (await stream.take_over(run_id)).attempt
    for first in range(0, len(lines), _APPENDED):
        part = lines[first : first + _APPENDED]
        closure = Closure(RunState.SUCCEEDED) if part[-1] == DONE else None
        [verdict] = await stream.append(Append(run_id, attempt, first + 1, part, closure))
        if isinstance(verdict, Exception):
            raise verdict
    await redis.aclose()
    return len("".join(texts))


async def replay(api: Api, valkey: Valkey, *, merged: bool = True) -> ReplayCost:
    """Measure replays of one answer, one after another over one connection."""
    chat = f"replay-{merged}"
    text_bytes = await write_answer(api.url, valkey.url, chat)
    url, params = f"{api.url}/chat/{chat}/stream", {"merged": f"{merged}".lower()}
    async with httpx.AsyncClient(timeout=60) as client:
        body = (await client.get(url, params=params)).content
        assert body.endswith(b"data: [DONE]\n\n")
        pids = (api.child.pid, valkey.child.pid)
        before = [cpu_seconds((pid,)) for pid in pids]
        times: list[float] = []
        for _ in range(REPLAYS):
            start = time.perf_counter()
            assert (await client.get(url, params=params)).content == body
            times.append(time.perf_counter() - start)
    api_cpu, redis_cpu = (
        (cpu_seconds((pid,)) - used) / REPLAYS * 1000
        for pid, used in zip(pids, before, strict=True)
    )
    duration = statistics.median(times) * 1000
    return ReplayCost(duration, api_cpu, redis_cpu, len(body) / text_bytes)


async def replays() -> list[Row]:
    async with _open_api() as (api, valkey):
        cost = await replay(api, valkey)
    title = f"replay of an answer of {WORDS:,} words"
    return [
        single(f"{title}, p50", cost.duration, at_most(10, "ms")),
        single(f"{title}, bytes per byte of text", cost.bytes_ratio, at_most(1.2)),
    ]


@asynccontextmanager
async def _open_api() -> AsyncGenerator[tuple[Api, Valkey]]:
    async with AsyncExitStack() as stack:
        valkey = Valkey()
        stack.push_async_callback(stop_all, valkey)
        await start_all(valkey)
        api = Api(valkey.url)
        stack.push_async_callback(stop_all, api)
        await start_all(api)
        yield api, valkey


async def main() -> None:
    async with _open_api() as (api, valkey):
        for merged in (True, False):
            cost = await replay(api, valkey, merged=merged)
            print(
                f"replay of {WORDS} words, {'merged' if merged else 'each event':10}"
                f"  p50 {cost.duration:6.1f} ms   CPU: API {cost.api_cpu:5.1f} ms,"
                f" Valkey {cost.redis_cpu:4.1f} ms   bytes {cost.bytes_ratio:5.2f} x the text",
                flush=True,
            )


if __name__ == "__main__":
    uvloop.run(main())
