"""Whatever its writers do and in whatever order, a log is one sequence that only grows."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.errors import StreamClosed
from shared.redis.client import Redis
from shared.streams.event_stream import Append, Closure, Cursor, Entry, read_all
from shared.streams.events import DONE
from shared.streams.run_state import RunState
from tests.support.stream_harness import House, memory_house, redis_house

Action = Literal["take over", "write", "lose the reply", "repeat", "overlap", "skip", "close"]

#: A run that ends at once shows little: what goes on is more frequent.
ACTIONS: tuple[Action, ...] = (
    "write",
    "write",
    "write",
    "take over",
    "take over",
    "take over",
    "lose the reply",
    "repeat",
    "overlap",
    "skip",
    "close",
)


class Move(NamedTuple):
    writer: int
    action: Action
    size: int


FIRST = Move(0, "take over", 1)
moves = st.lists(
    st.builds(Move, st.integers(0, 2), st.sampled_from(ACTIONS), st.integers(1, 4)),
    min_size=10,
    max_size=40,
)


@dataclass
class Writer:
    """Writes what nobody else would; never knows whether it is still the one."""

    name: int
    attempt: int = 0
    next: int = 1
    written: list[Append] = field(default_factory=list[Append])

    async def make(self, move: Move, house: House, run_id: str) -> Sequence[object]:
        """The verdicts, in a form that two streams can be compared by."""
        if move.action == "take over":
            return [await self._take_over(house, run_id)]
        if not self.attempt:
            return []
        appends = self._appends(move, run_id)
        self.written += appends
        verdicts = [verdict for append in appends for verdict in await house.stream.append(append)]
        if appends and isinstance(verdicts[-1], bool):
            self.next = max(self.next, appends[-1].first + len(appends[-1].entries))
        return [verdict if isinstance(verdict, bool) else type(verdict) for verdict in verdicts]

    async def _take_over(self, house: House, run_id: str) -> object:
        try:
            takeover = await house.stream.take_over(run_id)
        except StreamClosed as error:
            return type(error)
        self.attempt, self.next = takeover.attempt, takeover.offset + 1
        return takeover._replace(elapsed=0, waited=0)

    def _appends(self, move: Move, run_id: str) -> list[Append]:
        first, size = self.next, move.size
        match move.action:
            case "lose the reply":
                return [self._append(run_id, first, size)] * 2
            case "repeat":
                return self.written[-size:][:1]
            case "overlap":
                return [self._append(run_id, max(1, first - size), size + 1)]
            case "skip":
                return [self._append(run_id, first + size, size)]
            case "close":
                return [self._closing(run_id, first)]
            case _:
                return [self._append(run_id, first, size)]

    def _append(self, run_id: str, first: int, size: int) -> Append:
        entries = [self._entry(offset) for offset in range(first, first + size)]
        return Append(run_id, self.attempt, first, entries)

    def _closing(self, run_id: str, first: int) -> Append:
        closure = Closure(RunState.FAILED, f"error-{self.name}")
        return Append(run_id, self.attempt, first, [self._entry(first), DONE], closure)

    def _entry(self, offset: int) -> bytes:
        return b"%d of writer %d, attempt %d" % (offset, self.name, self.attempt)


async def play(house: House, played: list[Move]) -> tuple[list[object], list[Entry]]:
    """Make the moves, and check after each what must always hold."""
    run_id = await house.new_run()
    writers = [Writer(name) for name in range(3)]
    verdicts: list[object] = []
    log: list[Entry] = []
    for move in [FIRST, *played]:
        verdicts += await writers[move.writer].make(move, house, run_id)
        before, log = log, await read_all(house.stream, run_id)
        assert log[: len(before)] == before
        await check(house, run_id, log)
    await check_every_cut(house, run_id, log)
    return verdicts, log


async def check(house: House, run_id: str, log: list[Entry]) -> None:
    assert [entry.offset for entry in log] == list(range(1, len(log) + 1))
    assert [entry.attempt for entry in log] == sorted(entry.attempt for entry in log)
    assert DONE not in [entry.data for entry in log[:-1]]
    run = await house.runs.get(run_id)
    assert run is not None
    assert run.state.ended == bool(log and log[-1].ends)


async def check_every_cut(house: House, run_id: str, log: list[Entry]) -> None:
    for k in range(len(log) + 1):
        attempts = {0, 1, log[k - 1].attempt} if k else {0}
        for attempt in attempts:
            page = await house.stream.read(run_id, Cursor(attempt, k))
            assert [*log[:k], *page.entries] == log


@settings(max_examples=1000, deadline=None)
@given(moves)
async def test_any_interleaving_makes_one_sequence_in_memory(played: list[Move]) -> None:
    await play(memory_house(), played)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(moves)
async def test_any_interleaving_makes_the_same_sequence_in_redis(
    redis: Redis, played: list[Move]
) -> None:
    assert await play(redis_house(redis), played) == await play(memory_house(), played)
