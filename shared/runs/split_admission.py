"""Admission where the runs are on other servers than the queue, such as a cluster.

The queue's node decides, in one script, and queues the job in the same step: what is let in has a
job. A job must have its run: so the run is made before, once nothing speaks against it, and taken
back where something does by then. Whoever dies in between leaves a run that nobody knows of, until
its TTL. What the script has to know of other runs it asks for, and it is told. That a run has ended
is final, so that what was read stays true; has the chat another run by now, the script asks anew.

The stop of a superseded run is recorded after the other was let in: a refusal has stopped nothing.
The new run names it from the start, and whoever begins with the new one records it once more.
"""

import structlog

from shared.redis import keys
from shared.redis.client import REDIS_UNAVAILABLE, Redis
from shared.runs.admission import Admission, text_of
from shared.runs.admission_scripts import AdmissionParameters, Reply, admit_split
from shared.runs.run import Run
from shared.runs.store import RunStore

log = structlog.stdlib.get_logger()

#: For how long a call whose reply was lost may come again.
_MARK_MS = 120_000


class SplitAdmission(Admission):
    def __init__(self, redis: Redis, runs: RunStore, *, live_ttl: float) -> None:
        super().__init__(redis, live_ttl=live_ttl)
        self._runs = runs

    def _mark(self, run_id: str) -> str:
        return keys.admitted(run_id)

    async def _decide(self, run: Run, parameters: AdmissionParameters) -> Reply:
        known: dict[str, str] = {}
        made: str | None = None
        while True:
            reply = await admit_split(
                self._redis,
                **parameters,
                known_states=" ".join(f"{run_id}={state}" for run_id, state in known.items()),
                run_is_stored=int(made is not None),
                stored_superseded=made or "",
                job_format=keys.job("%s"),
                mark_ttl_ms=_MARK_MS,
            )
            verdict, text, other, _ = reply
            if verdict == b"make":
                made = await self._make(run, made, text_of(other))
            if verdict not in (b"look", b"make"):
                break
            known |= await self._look(text_of(text).split())
        await self._settle(run, reply, made=made is not None)
        return reply

    async def _make(self, run: Run, made: str | None, supersedes: str) -> str:
        """Make the run, if it is not; and have it name the one that it supersedes."""
        if made is None:
            await self._runs.create(run)
            await self._runs.extend_ttl(run.continues)
        if supersedes:
            await self._runs.record_superseded(run.id, supersedes)
        return supersedes

    async def _look(self, run_ids: list[str]) -> dict[str, str]:
        states = await self._runs.states(run_ids)
        return {
            run_id: "gone" if state is None else "ended" if state.ended else "live"
            for run_id, state in states.items()
        }

    async def _settle(self, run: Run, reply: Reply, *, made: bool) -> None:
        """What is left to do once the queue's node has decided. None of it need succeed."""
        verdict, run_id, superseded, _ = reply
        let_in = verdict == b"admitted" and text_of(run_id) == run.id
        try:
            if let_in and superseded:
                await self._stop(text_of(superseded))
            if made and not let_in:
                await self._runs.delete(run.id)
        except REDIS_UNAVAILABLE as error:
            log.warning("run.half_admitted", run_id=run.id, error=type(error).__name__)

    async def _stop(self, run_id: str) -> None:
        """Record that it is to stop, unless that is known."""
        run = await self._runs.get(run_id)
        if run is not None and not run.cancel:
            await self._runs.request_cancel(run_id)
