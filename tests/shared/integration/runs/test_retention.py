"""What is left of a run in Redis after its end."""

import pytest

from shared.queue.job_queue import JobQueue
from shared.redis import keys
from shared.redis.client import Redis
from shared.runs.admission import Admission, Idempotency
from shared.runs.ended_runs import EndedRuns
from shared.settings import LimitSettings
from shared.streams.event_stream import Append, Closure, RedisEventStream, StoredRun
from shared.streams.events import DONE, TextDelta
from shared.streams.run_state import RunState
from tests.support.fakes.runs import job_of, new_run
from tests.support.wait import until

#: Keys of the queue, not of a run.
_OTHER = {
    name.encode() for name in (keys.QUEUES, keys.wakeup(keys.QUEUE), keys.virtual_clock(keys.QUEUE))
}


async def end(redis: Redis, run_id: str, *, retention: float) -> None:
    stream = RedisEventStream(redis, live_ttl=600, retention=retention)
    taken = await stream.take_over(run_id)
    closure = Closure(RunState.SUCCEEDED)
    append = Append(run_id, taken.attempt, taken.offset + 1, [DONE], closure)
    [stored] = await stream.append(append)
    assert isinstance(stored, StoredRun)
    await JobQueue(redis).remove(run_id)
    await EndedRuns(redis, retention=retention).add(run_id, failed=False, stored=stored)


async def test_no_key_of_an_ended_run_outlives_its_retention(redis: Redis) -> None:
    run = new_run("run")
    idempotency = Idempotency.of("key", b"request")
    await Admission(redis, live_ttl=600).admit(
        run, job_of(run), LimitSettings(requests_per_minute=60_000), idempotency=idempotency
    )

    await end(redis, run.id, retention=0.2)

    async def is_gone() -> bool:
        return set(await redis.execute_command("KEYS", "*")) <= _OTHER

    await until(is_gone)


@pytest.mark.parametrize("deltas", [20, 500])
async def test_ended_run_takes_no_more_memory_than_documented(redis: Redis, deltas: int) -> None:
    run = new_run("run-of-twenty-letters")
    await Admission(redis, live_ttl=600).admit(run, job_of(run), LimitSettings())
    stream = RedisEventStream(redis, live_ttl=600, retention=600)
    taken = await stream.take_over(run.id)
    entries = [TextDelta(id="text-1", delta=" word").encode() for _ in range(deltas)]
    await stream.append(Append(run.id, taken.attempt, taken.offset + 1, entries))

    await end(redis, run.id, retention=600)

    names: list[bytes] = await redis.execute_command("KEYS", "*")
    sizes = [await redis.execute_command("MEMORY", "USAGE", name) for name in names]
    assert sum(sizes) <= 100 * deltas + 6 * 1024


async def test_end_of_a_superseded_run_keeps_the_chat_of_its_successor(redis: Redis) -> None:
    admission = Admission(redis, live_ttl=600)
    old, new = new_run("old", chat_id="chat"), new_run("new", chat_id="chat")
    await admission.admit(old, job_of(old), LimitSettings())
    await admission.admit(new, job_of(new), LimitSettings(), when_busy="supersede")

    await end(redis, old.id, retention=0.2)

    chat = keys.chat(new.owner, new.chat_id)
    assert await redis.execute_command("GET", chat) == b"new"
    assert await redis.execute_command("PTTL", chat) > 500_000
