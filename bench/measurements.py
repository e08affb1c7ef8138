"""Comparisons of Mamba with a direct server, over the same upstream."""

import asyncio
import math
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from bench.load import MeasuredAnswer, ask
from bench.servers import Servers, Target
from bench.table import Goal, Row, at_least, at_most, compare, number, single
from bench.upstream import model_name
from bench.usage import cpu_seconds

SHORT_WORDS = 20
_WORDS = 400
STREAMS = 50
_STARTED_AT_ONCE = 100
#: Sends a word every 0.1 seconds, so that answers are in progress while others start.
_SLOW = model_name(20, 0.1)


class Effort(NamedTuple):
    """How often each value is measured, and how many answers a round has."""

    rounds: int
    first_token_answers: int
    short_answers: int


FULL = Effort(rounds=5, first_token_answers=40, short_answers=600)
QUICK = Effort(rounds=1, first_token_answers=40, short_answers=200)

Values = tuple[float, ...]


async def first_token(servers: Servers, effort: Effort) -> list[Row]:
    """One answer after another."""

    async def measure(target: Target) -> Values:
        model = model_name(SHORT_WORDS)
        return tuple(
            [
                (await ask(target.url, model)).first_token * 1000
                for _ in range(effort.first_token_answers)
            ]
        )

    pairs = await _alternate(servers, effort, measure)
    mamba = sorted(value for values, _ in pairs for value in values)
    direct = sorted(value for _, values in pairs for value in values)
    rows: list[Row] = []
    for name, share, goal in (("p50", 0.5, at_most(2, "ms")), ("p99", 0.99, at_most(10, "ms"))):
        of_mamba, of_direct = percentile(mamba, share), percentile(direct, share)
        added = of_mamba - of_direct
        rows.append(
            Row(
                f"first token, 1 stream, {name} (ms)",
                number(of_mamba),
                number(of_direct),
                f"{added:+.2f} ms",
                str(goal),
                goal.is_met(added),
            )
        )
    return rows


async def first_token_at_once(servers: Servers, effort: Effort) -> list[Row]:
    async def measure(target: Target) -> Values:
        answers = await _concurrently(target, _SLOW, _STARTED_AT_ONCE)
        return (statistics.median(answer.first_token for answer in answers) * 1000,)

    title = f"first token, {_STARTED_AT_ONCE} streams at once, p50 (ms)"
    return await _compare(servers, effort, measure, [(title, at_most(0.5))])


async def token_delay(servers: Servers, effort: Effort) -> list[Row]:
    """From the write of a word by the upstream until the client has read it."""
    rows: list[Row] = []
    for streams, rate in ((20, 20), (100, 10)):
        model = model_name(words=rate * 5, delay=1 / rate)

        async def measure(target: Target, model: str = model, streams: int = streams) -> Values:
            answers = await _concurrently(target, model, streams)
            return steady_delays(answers)

        title = f"token delay, {streams} × {rate}/s"
        titles = [(f"{title}, {name} (ms)", None) for name in ("p50", "p99")]
        rows += await _compare(servers, effort, measure, titles)
    return rows


async def saturated(servers: Servers, effort: Effort) -> list[Row]:
    async def measure(target: Target) -> Values:
        before = cpu_seconds(target.pids)
        answers = await _concurrently(target, model_name(_WORDS), STREAMS)
        cpu = cpu_seconds(target.pids) - before
        words = sum(answer.words for answer in answers)
        assert words == STREAMS * _WORDS
        return words / max(answer.duration for answer in answers), cpu / words * 1000

    titles = [
        (f"tokens per second, {STREAMS} streams saturated", at_least(5)),
        ("CPU of 1,000 tokens, all processes, saturated (s)", at_most(0.25)),
    ]
    return await _compare(servers, effort, measure, titles)


async def short_answers(servers: Servers, effort: Effort) -> list[Row]:
    """Answers of 20 tokens, of which 50 are always in progress."""

    async def measure(target: Target) -> Values:
        before, start = cpu_seconds(target.pids), time.monotonic()
        await many_short_answers(target.url, effort.short_answers)
        seconds = time.monotonic() - start
        cpu = (cpu_seconds(target.pids) - before) / effort.short_answers * 1000
        return effort.short_answers / seconds, cpu

    pairs = await _alternate(servers, effort, measure)
    title = f"answers of {SHORT_WORDS} tokens per second"
    per_second = statistics.median(mamba[0] for mamba, _ in pairs)
    return [
        single(f"{title}, one worker process", per_second, at_least(150, "/s")),
        compare(title, [(mamba[0], direct[0]) for mamba, direct in pairs], at_least(2)),
        compare(
            f"CPU of an answer of {SHORT_WORDS} tokens, all processes (ms)",
            [(mamba[1], direct[1]) for mamba, direct in pairs],
        ),
    ]


async def many_short_answers(url: str, count: int, *, streams: int = STREAMS) -> None:
    waiting = iter(range(count))

    async def client() -> None:
        for _ in waiting:
            assert (await ask(url, model_name(SHORT_WORDS))).words == SHORT_WORDS

    await asyncio.gather(*(client() for _ in range(streams)))


def percentile(values: Sequence[float], share: float) -> float:
    """Return a percentile of sorted values."""
    return values[min(len(values) - 1, int(len(values) * share))]


def steady_delays(answers: list[MeasuredAnswer]) -> Values:
    """Return p50 and p99 of the token delays in milliseconds, from when all streams have begun.

    They are infinite if the first streams ended before the last one began.
    """
    began = max(answer.delays[0][0] + answer.delays[0][1] for answer in answers)
    ended = min(answer.delays[-1][0] for answer in answers)
    delays = sorted(delay for answer in answers for sent, delay in answer.delays if sent >= began)
    if ended <= began:
        return math.inf, math.inf
    return percentile(delays, 0.5) * 1000, percentile(delays, 0.99) * 1000


async def _compare(
    servers: Servers,
    effort: Effort,
    measure: Callable[[Target], Awaitable[Values]],
    titles: Sequence[tuple[str, Goal | None]],
) -> list[Row]:
    pairs = await _alternate(servers, effort, measure)
    return [
        compare(title, [(mamba[number], direct[number]) for mamba, direct in pairs], goal)
        for number, (title, goal) in enumerate(titles)
    ]


async def _alternate(
    servers: Servers, effort: Effort, measure: Callable[[Target], Awaitable[Values]]
) -> list[tuple[Values, Values]]:
    """Measure Mamba and the direct server in turn, once per round."""
    return [
        (await measure(servers.mamba.target), await measure(servers.direct_target))
        for _ in range(effort.rounds)
    ]


async def _concurrently(target: Target, model: str, streams: int) -> list[MeasuredAnswer]:
    return await asyncio.gather(*(ask(target.url, model) for _ in range(streams)))
