"""Lists of runs for operators, by state, owner, chat, agent and age.

Live runs come from the queues, ended ones from the index of ended runs. For each run that is
scanned, Redis reads five fields of its hash, in batches: about two seconds per 100,000 runs.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from shared.redis import keys
from shared.redis.client import Redis
from shared.redis.numbers import whole_number
from shared.runs.ended_runs import EndedRuns
from shared.runs.run import Run
from shared.runs.store import RunStore
from shared.streams.run_state import RunState

_BATCH = 500
_FIELDS = ("state", "owner", "chat_id", "agent", "admitted_at")

LIVE_STATES = frozenset({RunState.QUEUED, RunState.RUNNING})
ALL_STATES = frozenset(RunState)


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Which runs to list. None means any. `since` is the earliest admission in Unix ms."""

    states: frozenset[RunState] = ALL_STATES
    owner: str | None = None
    chat_id: str | None = None
    agent: str | None = None
    since: int = 0

    def matches(self, fields: Sequence[str | None]) -> bool:
        """Return whether a run has the right values of `_FIELDS`."""
        state, owner, chat_id, agent, admitted_at = fields
        return (
            state in self.states
            and self.owner in (None, owner)
            and self.chat_id in (None, chat_id)
            and self.agent in (None, agent)
            and (whole_number(admitted_at) or 0) >= self.since
        )


@dataclass(frozen=True, slots=True)
class FoundRuns:
    """The runs found, how many were scanned, and whether some were not."""

    runs: list[Run]
    scanned: int
    more: bool


class RunList:
    """Finds runs that match a filter."""

    def __init__(self, redis: Redis, runs: RunStore, ended: EndedRuns) -> None:
        self._redis = redis
        self._runs = runs
        self._ended = ended

    async def find(
        self, queues: Sequence[str], wanted: RunFilter, *, limit: int, scan_limit: int
    ) -> FoundRuns:
        """Return at most `limit` runs: live ones by due time, then ended ones, newest first."""
        found: dict[str, Run] = {}
        scanned: set[str] = set()
        async for batch in self._batches(queues, wanted):
            new = [run_id for run_id in batch if run_id not in scanned]
            scanned.update(new)
            fields = await self._runs.fields_of(new, _FIELDS)
            ids = [run_id for run_id in new if wanted.matches(fields[run_id])]
            found |= await self._runs.get_many(ids)
            if len(found) > limit or len(scanned) >= scan_limit:
                return FoundRuns([*found.values()][:limit], len(scanned), more=True)
        return FoundRuns([*found.values()], len(scanned), more=False)

    async def _batches(
        self, queues: Sequence[str], wanted: RunFilter
    ) -> AsyncIterator[Sequence[str]]:
        if wanted.states & LIVE_STATES:
            for key in self._indexes(queues, wanted):
                async for batch in self._members(key):
                    yield batch
        start = 0
        while wanted.states - LIVE_STATES:
            batch = await self._ended.page(start, _BATCH, since=wanted.since)
            if not batch:
                return
            yield batch
            start += len(batch)

    def _indexes(self, queues: Sequence[str], wanted: RunFilter) -> list[str]:
        """Return the keys of the sorted sets that hold the live runs."""
        if wanted.owner is not None:
            return [keys.live_runs(wanted.owner)]
        return [keys.queue(queue) for queue in queues]

    async def _members(self, key: str) -> AsyncIterator[Sequence[str]]:
        start = 0
        while True:
            ids: list[bytes] = await self._redis.execute_command(
                "ZRANGE", key, start, start + _BATCH - 1
            )
            if not ids:
                return
            yield [run_id.decode(errors="replace") for run_id in ids]
            start += len(ids)
