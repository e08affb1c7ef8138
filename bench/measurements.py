"""What the benchmark measures of a server that answers chats."""

import asyncio
import os
import statistics
import time
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from bench.load import MeasuredAnswer, ask

FIRST_TOKEN_ANSWERS = 40
STEADY_STREAMS = 100
STREAMS = 50
WORDS = 400
SHORT_WORDS = 20
SHORT_ANSWERS = 300
#: The scripts of the models that the measurements ask.
MODELS = {
    "short": {"words": SHORT_WORDS},
    "burst": {"words": WORDS},
    "paced": {"words": 100, "delay": 0.1},
}


class Target(NamedTuple):
    """A server, and its processes, whose CPU time counts."""

    url: str
    pids: tuple[int, ...]


class Measurement(NamedTuple):
    """Measures values of a target, one for each title.

    `goals` are bounds of queue / direct, one for each title; empty if there is none.
    """

    titles: tuple[str, ...]
    goals: tuple[str, ...]
    measure: Callable[[Target], Awaitable[tuple[float, ...]]]


async def first_token(target: Target) -> tuple[float, ...]:
    times = [(await ask(target.url, "short")).first_token for _ in range(FIRST_TOKEN_ANSWERS)]
    return (statistics.median(times) * 1000,)


async def first_token_concurrent(target: Target) -> tuple[float, ...]:
    answers = await _concurrently(target, "paced", STEADY_STREAMS)
    return (statistics.median(answer.first_token for answer in answers) * 1000,)


async def saturated(target: Target) -> tuple[float, ...]:
    """Return the words per second, and the CPU time in milliseconds of 1,000 words."""
    before = cpu_seconds(target.pids)
    answers = await _concurrently(target, "burst", STREAMS)
    cpu = cpu_seconds(target.pids) - before
    assert all(answer.words == WORDS for answer in answers)
    words = STREAMS * WORDS
    return words / max(answer.duration for answer in answers), cpu / words * 1e6


async def short_answers(target: Target) -> tuple[float, ...]:
    """Return the short answers per second, of which `STREAMS` are always in progress."""
    waiting = iter(range(SHORT_ANSWERS))

    async def client() -> None:
        for _ in waiting:
            assert (await ask(target.url, "short")).words == SHORT_WORDS

    start = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(STREAMS)))
    return (SHORT_ANSWERS / (time.perf_counter() - start),)


async def _concurrently(target: Target, model: str, streams: int) -> list[MeasuredAnswer]:
    return await asyncio.gather(*(ask(target.url, model) for _ in range(streams)))


def cpu_seconds(pids: Iterable[int]) -> float:
    """Return the CPU time that processes have used, from Linux's /proc."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


MEASUREMENTS = (
    Measurement(("first token, 1 stream (ms)",), ("",), first_token),
    Measurement(("first token, 100 streams at once (ms)",), ("<= 0.5",), first_token_concurrent),
    Measurement(
        ("words per second, 50 streams", "CPU time of 1,000 words (ms)"),
        (">= 5", "<= 0.25"),
        saturated,
    ),
    Measurement(("short answers per second",), (">= 2",), short_answers),
)
