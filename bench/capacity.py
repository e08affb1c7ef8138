"""The capacity of a server: streams with low delays, and tokens per second."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from bench.load import MeasuredAnswer, ask
from bench.measurements import steady_delays
from bench.servers import Servers, Target
from bench.table import Row, at_least, number
from bench.upstream import model_name

RATE = 50
#: Highest p99 of the delays at which a server can handle a load.
MAX_DELAY_MS = 100
_START_SECONDS = 2.0
_STEADY_SECONDS = 4.0
_FEWEST = 10
_MOST = 640
_SATURATING = (1, 5, 10, 25, 50, 100)
_WORDS = 400


class Delay(NamedTuple):
    """The token delays at a load, in milliseconds."""

    streams: int
    p50: float
    p99: float

    @property
    def is_acceptable(self) -> bool:
        return self.p99 <= MAX_DELAY_MS


class Throughput(NamedTuple):
    streams: int
    tokens_per_second: float


class Curves(NamedTuple):
    """What the plots show of one server."""

    delays: list[Delay]
    throughput: list[Throughput]


async def steady_streams(servers: Servers) -> tuple[list[Row], list[Delay], list[Delay]]:
    """Find the largest number of streams at 50 tokens/s that each server can handle."""
    mamba = await _search(lambda streams: _delay(servers.mamba.target, streams))
    direct = await _search(lambda streams: _delay(servers.direct_target, streams))
    of_mamba, of_direct = _most_streams(mamba), _most_streams(direct)
    ratio, goal = of_mamba / max(of_direct, 1), at_least(5)
    row = Row(
        f"streams at {RATE} tokens/s with p99 ≤ {MAX_DELAY_MS} ms, one worker process",
        number(of_mamba),
        number(of_direct),
        f"{number(ratio)} ×",
        str(goal),
        goal.is_met(ratio),
    )
    return [row], mamba, direct


async def saturated_curve(target: Target) -> list[Throughput]:
    """Measure the tokens per second of different numbers of streams without pauses."""
    curve: list[Throughput] = []
    for streams in _SATURATING:
        answers = await asyncio.gather(
            *(ask(target.url, model_name(_WORDS)) for _ in range(streams))
        )
        duration = max(answer.duration for answer in answers)
        curve.append(Throughput(streams, streams * _WORDS / duration))
    return curve


async def _search(measure: Callable[[int], Awaitable[Delay]]) -> list[Delay]:
    """Double the streams until they are too many, then try numbers in between."""
    delays: list[Delay] = []
    streams = _FEWEST
    while streams <= _MOST:
        delays.append(await measure(streams))
        if not delays[-1].is_acceptable:
            break
        streams *= 2
    low, high = _most_streams(delays), streams
    for _ in range(2):
        if high > _MOST or low == 0:
            break
        delays.append(await measure((low + high) // 2))
        low, high = (
            (delays[-1].streams, high) if delays[-1].is_acceptable else (low, delays[-1].streams)
        )
    return sorted(delays)


def _most_streams(delays: list[Delay]) -> int:
    return max((delay.streams for delay in delays if delay.is_acceptable), default=0)


async def _delay(target: Target, streams: int) -> Delay:
    words = int(RATE * (_START_SECONDS + _STEADY_SECONDS))
    model = model_name(words, 1 / RATE)

    async def start(number: int) -> MeasuredAnswer:
        await asyncio.sleep(number * _START_SECONDS / streams)
        return await ask(target.url, model)

    answers = await asyncio.gather(*(start(number) for number in range(streams)))
    p50, p99 = steady_delays(answers)
    return Delay(streams, p50, p99)
