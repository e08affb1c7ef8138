"""Properties of the event stream under arbitrary interleavings of writers."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.errors import StreamClosed
from shared.redis.client import Redis
from shared.streams.event_stream import START, Append, Closure, Entry, read_all
from shared.streams.events import DONE
from shared.streams.run_state import RunState
from tests.support.stream_harness import StreamHarness, memory_harness, redis_harness

Action = Literal["take over", "write", "lose the reply", "repeat", "overlap", "skip", "close"]

#: Closing is rare so that most generated runs are long.
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
    """A writer with distinct entries, which may have lost its run to a later attempt."""

    name: int
    attempt: int = 0
    next: int = 1
    written: list[Append] = field(default_factory=list[Append])

    async def apply(self, move: Move, harness: StreamHarness, run_id: str) -> Sequence[object]:
        """Make a move and return its verdicts in a form that compares equal across streams."""
        if move.action == "take over":
            return [await self._take_over(harness, run_id)]
        if not self.attempt:
            return []
        appends = self._appends(move, run_id)
        self.written += appends
        verdicts = [
            verdict for append in appends for verdict in await harness.stream.append(append)
        ]
        if appends and not isinstance(verdicts[-1], Exception):
            self.next = max(self.next, appends[-1].first + len(appends[-1].entries))
        return [verdict if isinstance(verdict, bool) else type(verdict) for verdict in verdicts]

    async def _take_over(self, harness: StreamHarness, run_id: str) -> object:
        try:
            takeover = await harness.stream.take_over(run_id)
        except StreamClosed as error:
            return type(error)
        self.attempt, self.next = takeover.attempt, takeover.offset + 1
        return takeover._replace(elapsed=0, waited=0, admitted_at=0)

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


async def play(harness: StreamHarness, played: list[Move]) -> tuple[list[object], list[Entry]]:
    """Make the moves and check the invariants after each."""
    run_id = await harness.create_run()
    writers = [Writer(name) for name in range(3)]
    verdicts: list[object] = []
    entries: list[Entry] = []
    for move in [FIRST, *played]:
        verdicts += await writers[move.writer].apply(move, harness, run_id)
        before, entries = entries, await read_all(harness.stream, run_id)
        assert entries[: len(before)] == before
        await check_invariants(harness, run_id, entries)
    await check_every_cut(harness, run_id, entries)
    return verdicts, entries


async def check_invariants(harness: StreamHarness, run_id: str, entries: list[Entry]) -> None:
    assert [entry.offset for entry in entries] == list(range(1, len(entries) + 1))
    assert [entry.attempt for entry in entries] == sorted(entry.attempt for entry in entries)
    assert DONE not in [entry.data for entry in entries[:-1]]
    run = await harness.runs.get(run_id)
    assert run is not None
    assert run.state.ended == bool(entries and entries[-1].is_last)


async def check_every_cut(harness: StreamHarness, run_id: str, entries: list[Entry]) -> None:
    for k in range(len(entries) + 1):
        page = await harness.stream.read(run_id, entries[k - 1].cursor if k else START)
        assert [*entries[:k], *page.entries] == entries


@settings(max_examples=max(400, settings().max_examples))
@given(moves)
async def test_memory_stream_is_append_only_under_any_interleaving(played: list[Move]) -> None:
    await play(memory_harness(), played)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(moves)
async def test_redis_stream_matches_the_memory_stream(redis: Redis, played: list[Move]) -> None:
    assert await play(redis_harness(redis), played) == await play(memory_harness(), played)
