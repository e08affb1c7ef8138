"""Admission for split storage: the runs are on other servers than the queue's, such as a cluster.

One script on the queue's node decides and queues the job in the same step, so every admitted run
has a job. The run is stored first, once the script has no objection, and deleted if the script
refuses it after all. A crash between these steps leaves an orphaned run until its TTL.

The script requests the states of other runs that it needs. They stay valid, because ended runs
never change. If the chat has another run by then, the script requests its state too.

The stops of superseded runs are stored after the new run is admitted: a refusal stops nothing. The
new run records which runs it supersedes or waits for. Its first attempt stores the stops of
superseded runs again.
"""

import structlog

from shared.errors import StorageFull
from shared.redis import keys
from shared.redis.client import REDIS_UNAVAILABLE, Redis
from shared.redis.memory import StreamMemory
from shared.runs.admission import Admission, decode_field
from shared.runs.admission_scripts import AdmissionParameters, Reply, admit_split
from shared.runs.run import Run
from shared.runs.store import RunStore

log = structlog.stdlib.get_logger()

#: How long a call whose reply was lost can be repeated.
_MARK_MS = 120_000


class SplitAdmission(Admission):
    """Admission in several steps, because runs and queue are on different servers."""

    def __init__(
        self, redis: Redis, runs: RunStore, memory: StreamMemory, *, live_ttl: float
    ) -> None:
        super().__init__(redis, live_ttl=live_ttl)
        self._runs = runs
        self._memory = memory

    def _mark(self, run_id: str) -> str:
        return keys.admitted(run_id)

    async def _run_script(self, run: Run, parameters: AdmissionParameters) -> Reply:
        known: dict[str, str] = {}
        stored: str | None = None
        while True:
            reply = await admit_split(
                self._redis,
                **parameters,
                known_states=" ".join(f"{run_id}={state}" for run_id, state in known.items()),
                run_is_stored=int(stored is not None),
                stored_live=stored or "",
                job_key_pattern=keys.job("%s"),
                mark_ttl_ms=_MARK_MS,
            )
            verdict, text, other = reply[:3]
            if verdict == b"store_run":
                if stored is None and await self._memory.is_short(parameters["max_memory_share"]):
                    raise StorageFull
                is_new, stored = stored is None, decode_field(other)
                await self._store(run, stored, parameters["when_busy"], is_new=is_new)
            if verdict not in (b"read_states", b"store_run"):
                break
            known |= await self._read_states(decode_field(text).split())
        await self._clean_up(run, reply, stored=stored is not None)
        return reply

    async def _store(self, run: Run, live: str, when_busy: str, *, is_new: bool) -> None:
        """Store the run if necessary, and record the chat's live runs before it."""
        if is_new:
            await self._runs.create(run)
            await self._runs.extend_ttl(run.continues)
        if live and when_busy == "supersede":
            await self._runs.record_superseded(run.id, live)
        elif live:
            await self._runs.record_waits_for(run.id, live)

    async def _read_states(self, run_ids: list[str]) -> dict[str, str]:
        states = await self._runs.states(run_ids)
        return {
            run_id: "gone" if state is None else "ended" if state.ended else "live"
            for run_id, state in states.items()
        }

    async def _clean_up(self, run: Run, reply: Reply, *, stored: bool) -> None:
        """Clean up after the decision. Best effort: failures are logged and ignored."""
        verdict, run_id, superseded = reply[:3]
        admitted = verdict == b"admitted" and decode_field(run_id) == run.id
        try:
            if admitted:
                for other in decode_field(superseded).split():
                    await self._stop(other)
            if stored and not admitted:
                await self._runs.delete(run.id)
        except REDIS_UNAVAILABLE as error:
            log.warning(
                "run.half_admitted",
                message="Could not clean up after an admission because Redis is unavailable",
                run_id=run.id,
                error=type(error).__name__,
            )

    async def _stop(self, run_id: str) -> None:
        """Store a stop request for a run, unless it has one."""
        run = await self._runs.get(run_id)
        if run is not None and not run.stop_requests:
            await self._runs.request_stop(run_id)
