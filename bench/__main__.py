"""Compares answers through the queue with direct answers of the same agent.

Both are measured alternately over the same scripted upstream. The ratio is what counts.
"""

import argparse
import asyncio
import os
import statistics
import sys
import time
from contextlib import AsyncExitStack
from typing import Self

import uvloop

from bench.load import ask
from bench.measurements import MEASUREMENTS, MODELS, Measurement, Target, cpu_seconds
from bench.pickup import pickup
from tests.support.processes import Api, ServerProcess, Valkey, Worker, start_all, stop_all
from tests.support.upstream.client import Upstream

DEFAULT_ROUNDS = 7


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
        api, direct_api = Api(valkey.url), DirectApi(upstream.base_url)
        worker = Worker(valkey.url, upstream.base_url)
        stack.push_async_callback(stop_all, api, direct_api, worker)
        await start_all(api, direct_api, worker)
        for name, action in MODELS.items():
            await upstream.script(name, [[action]])
        queue = Target(f"{api.url}/chat", (api.child.pid, worker.child.pid))
        direct = Target(f"{direct_api.url}/chat", (direct_api.child.pid,))
        for target in (queue, direct):
            await asyncio.gather(*(ask(target.url, "short") for _ in range(20)))

        p50, p99 = await pickup(valkey.url)
        print(f"{'pickup by an idle worker (ms)':38} p50 {p50:11.2f}   p99 {p99:12.2f}", flush=True)
        for measurement in MEASUREMENTS:
            shares = CpuShares({"upstream": upstream.pid, "Valkey": valkey.child.pid})
            rows = [
                (await measurement.measure(queue), await measurement.measure(direct))
                for _ in range(rounds)
            ]
            report(measurement, rows)
            print(f"{'':38} CPU: {shares}", flush=True)


class CpuShares:
    """The shares of a core that the benchmark and its servers use from now on."""

    def __init__(self, pids: dict[str, int]) -> None:
        self._pids = {"clients": os.getpid(), **pids}
        self._used = self._cpu_seconds()
        self._start = time.perf_counter()

    def __str__(self) -> str:
        seconds = time.perf_counter() - self._start
        used = self._cpu_seconds()
        return ", ".join(
            f"{name} {(used[name] - self._used[name]) / seconds:.0%}" for name in self._pids
        )

    def _cpu_seconds(self) -> dict[str, float]:
        return {name: cpu_seconds((pid,)) for name, pid in self._pids.items()}


def report(measurement: Measurement, rows: list[tuple[tuple[float, ...], ...]]) -> None:
    """Print the medians of a measurement's values: through the queue, and direct."""
    for number, title in enumerate(measurement.titles):
        pairs = [(queue[number], direct[number]) for queue, direct in rows]
        queued, direct = (statistics.median(values) for values in zip(*pairs, strict=True))
        ratio = statistics.median(queued / direct for queued, direct in pairs)
        goal = measurement.goals[number]
        print(
            f"{title:38} queue {queued:9.1f}   direct {direct:9.1f}   ratio {ratio:5.2f}"
            + (f"   goal {goal}" if goal else ""),
            flush=True,
        )


if __name__ == "__main__":
    uvloop.run(main(parse_arguments().rounds))
