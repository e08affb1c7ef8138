"""Measures the cost of `redis.confirm_replicas` on a primary with one replica.

Run it with `python -m bench.confirm`. It measures with and without the setting alternately.
"""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import uvloop

from bench.load import ask
from shared.redis.client import connect
from shared.redis.subscriber import Subscriber
from shared.runs.stores import open_stores
from shared.settings import RedisSettings, Settings
from shared.streams.events import TextDelta
from shared.streams.follow import FollowerFactory
from tests.support.fakes.runs import new_run
from tests.support.processes import Api, Worker, start_all, stop_all
from tests.support.redis_sentinel import open_replica_pair
from tests.support.upstream.client import Upstream
from worker.output.writer import GroupCommitter, RunWriter

ROUNDS = 5
TOKENS = 100
STREAMS = 50
WORDS = 150
_PAUSE_SECONDS = 0.005


async def main() -> None:
    async with AsyncExitStack() as stack:
        pair = await stack.enter_async_context(open_replica_pair())
        redis_url = pair.primary.url
        await report(
            "token to follower, p50 (ms)", lambda replicas: token_latency(redis_url, replicas)
        )
        upstream = await stack.enter_async_context(Upstream())
        await upstream.script("burst", [[{"words": WORDS}]])
        apis: list[Api] = []
        for replicas in (0, 1):
            url, env = (
                f"{redis_url[:-1]}{replicas}",
                {"MAMBA_REDIS__CONFIRM_REPLICAS": f"{replicas}"},
            )
            api, worker = Api(url, env), Worker(url, upstream.base_url, env)
            stack.push_async_callback(stop_all, api, worker)
            await start_all(api, worker)
            apis.append(api)
            await tokens_per_second(f"{api.url}/chat")
        await report(
            "tokens per second, 50 streams",
            lambda replicas: tokens_per_second(f"{apis[replicas].url}/chat"),
        )


async def report(title: str, measure: Callable[[int], Awaitable[float]]) -> None:
    """Print the medians without and with one replica to confirm, and of their ratio."""
    pairs = [(await measure(0), await measure(1)) for _ in range(ROUNDS)]
    off, on = (statistics.median(values) for values in zip(*pairs, strict=True))
    ratio = statistics.median(on / off for off, on in pairs)
    print(f"{title:32} off {off:9.2f}   on {on:9.2f}   ratio {ratio:5.2f}", flush=True)


async def tokens_per_second(url: str) -> float:
    answers = await asyncio.gather(*(ask(url, "burst") for _ in range(STREAMS)))
    return STREAMS * WORDS / max(answer.duration for answer in answers)


async def token_latency(url: str, replicas: int) -> float:
    """Return the median time from a write of a token until a follower has it."""
    settings = Settings(redis=RedisSettings(url=url, confirm_replicas=replicas))
    async with AsyncExitStack() as stack:
        redis = connect(url, name="bench", max_connections=4)
        stack.push_async_callback(redis.aclose)
        stores = open_stores(settings, redis, stack, name="bench", max_connections=4)
        subscriber = await stack.enter_async_context(Subscriber(url, name="bench"))
        committer = await stack.enter_async_context(GroupCommitter(stores.stream))
        run, times = new_run(), list[float]()
        await stores.runs.create(run)
        attempt = (await stores.stream.take_over(run.id)).attempt
        writer = RunWriter(
            committer,
            run.id,
            attempt=attempt,
            offset=0,
            on_refused=lambda: None,
            on_stop=lambda: None,
        )
        followers = FollowerFactory(stores.stream, subscriber, max_bytes=1_000_000)
        with followers.follow(run.id) as follower:
            await follower.read()
            for _ in range(TOKENS):
                start = time.perf_counter()
                writer.write(TextDelta(id="text", delta="word "))
                while not await follower.read():
                    pass
                times.append(time.perf_counter() - start)
                await asyncio.sleep(_PAUSE_SECONDS)
    return statistics.median(times) * 1000


if __name__ == "__main__":
    uvloop.run(main())
