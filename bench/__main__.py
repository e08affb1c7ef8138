"""Compares answers through the queue with direct answers of the same agent.

Both are measured alternately over the same scripted upstream. The ratio is what counts.
"""

import argparse
import asyncio
import statistics
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Self

import uvloop

from bench.load import MeasuredAnswer, ask
from bench.pickup import pickup
from tests.support.processes import Api, ServerProcess, Valkey, Worker, start_all, stop_all
from tests.support.upstream.client import Upstream

DEFAULT_ROUNDS = 7
FIRST_TOKEN_ANSWERS = 40
STREAMS = 50
WORDS = 400


class DirectApi(Api):
    def __init__(self, openai_url: str) -> None:
        super().__init__("redis://unused", {"OPENAI_API_BASE_URL": openai_url})
        self._command = (sys.executable, "-m", "bench.direct")

    def start(self) -> Self:
        ServerProcess.start(self)  # it is no `mamba` command
        return self


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m bench", description=__doc__)
    parser.add_argument(
        "--rounds",
        type=positive_number,
        default=DEFAULT_ROUNDS,
        metavar="N",
        help=f"how often each value is measured; the median counts (default: {DEFAULT_ROUNDS})",
    )
    return parser.parse_args(arguments)


def positive_number(text: str) -> int:
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or greater (got {number})")
    return number


async def main(rounds: int) -> None:
    async with AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(Upstream())
        valkey = Valkey()
        stack.push_async_callback(stop_all, valkey)
        await start_all(valkey)
        api, direct = Api(valkey.url), DirectApi(upstream.base_url)
        worker = Worker(valkey.url, upstream.base_url)
        stack.push_async_callback(stop_all, api, direct, worker)
        await start_all(api, direct, worker)
        await upstream.script("short", [[{"words": 20}]])
        await upstream.script("burst", [[{"words": WORDS}]])
        await upstream.script("paced", [[{"words": WORDS, "delay": 0.02}]])
        queue_url, direct_url = f"{api.url}/chat", f"{direct.url}/chat"
        for url in (queue_url, direct_url):
            await asyncio.gather(*(ask(url, "short") for _ in range(20)))

        p50, p99 = await pickup(valkey.url)
        print(f"{'pickup by an idle worker (ms)':38} p50 {p50:11.2f}   p99 {p99:12.2f}", flush=True)
        for title, measure in MEASUREMENTS.items():
            pairs = [(await measure(queue_url), await measure(direct_url)) for _ in range(rounds)]
            report(title, pairs)


def report(title: str, pairs: list[tuple[float, float]]) -> None:
    """Print the medians of pairs of values: through the queue, and direct."""
    queued = statistics.median(pair[0] for pair in pairs)
    direct = statistics.median(pair[1] for pair in pairs)
    ratio = statistics.median(queued / direct for queued, direct in pairs)
    print(f"{title:38} queue {queued:9.1f}   direct {direct:9.1f}   ratio {ratio:5.2f}", flush=True)


async def first_token(url: str) -> float:
    times = [(await ask(url, "short")).first_token for _ in range(FIRST_TOKEN_ANSWERS)]
    return statistics.median(times) * 1000


async def first_token_concurrent(url: str) -> float:
    return statistics.median(a.first_token for a in await _concurrently(url, "paced")) * 1000


async def words_per_second(url: str) -> float:
    answers = await _concurrently(url, "burst")
    assert all(answer.words == WORDS for answer in answers)
    return STREAMS * WORDS / max(answer.duration for answer in answers)


async def _concurrently(url: str, model: str) -> list[MeasuredAnswer]:
    return await asyncio.gather(*(ask(url, model) for _ in range(STREAMS)))


MEASUREMENTS: dict[str, Callable[[str], Awaitable[float]]] = {
    "first token, 1 stream (ms)": first_token,
    "first token, 50 paced streams (ms)": first_token_concurrent,
    "words per second, 50 streams": words_per_second,
}


if __name__ == "__main__":
    uvloop.run(main(parse_arguments().rounds))
