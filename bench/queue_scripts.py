"""Measures how long Redis takes for one enqueue, claim, and release while many owners wait.

It also measures the operators' list of owners, while some hundred runs are claimed.

Enqueue is the whole admission script. The times are those of the server (`INFO commandstats`), so
the network and this process do not count.
"""

import argparse
import asyncio
import itertools
from collections.abc import Awaitable, Callable

from bench.table import Row, at_most, single
from shared.chat.messages import Message, TextPart
from shared.monitoring.owner_list import MAX_OWNERS
from shared.queue.job import RunChat
from shared.queue.waiting_owners import read_owners
from shared.redis import keys
from shared.redis.client import Redis
from shared.runs.admission import Admission
from shared.runs.run import Run, new_run_id
from shared.settings import LimitSettings
from tests.support.processes import Valkey, start_all, stop_all
from worker.queue import lease_scripts

WAITING = 10_000
CALLS = 1_000
#: The operations with a target.
_WITH_TARGET = ("enqueue", "claim of 1 run", "claim of 4 runs")
_TTL = 600.0
_WORKER = "bench"
#: How many runs a worker claims at most, and how many calls are measured together.
_MAX_CLAIM = 4
_BATCH_CALLS = 20


async def queue_scripts() -> list[Row]:
    costs = await measure(WAITING, CALLS)
    return [
        single(
            f"{title} in Redis, {WAITING:,} waiting runs",
            cost,
            at_most(60, "µs") if title in _WITH_TARGET else None,
            "µs",
        )
        for title, cost in costs.items()
    ]


async def measure(waiting: int, calls: int) -> dict[str, float]:
    """Return the microseconds in Redis per run, by operation."""
    valkey = Valkey()
    await start_all(valkey)
    redis = valkey.client()
    try:
        admission = Admission(redis, live_ttl=_TTL)
        for number in range(waiting):
            await _admit(admission, f"owner-{number}")
        numbers = itertools.count(waiting)
        claimed: list[tuple[bytes, bytes, bytes, bytes]] = []
        operations: dict[str, Callable[[], Awaitable[int]]] = {
            "enqueue": lambda: _admit(admission, f"owner-{next(numbers)}"),
            "claim of 1 run": lambda: _claim(redis, 1, claimed),
            "release": lambda: _release(redis, claimed.pop()[1].decode()),
            "claim of 4 runs": lambda: _claim(redis, _MAX_CLAIM, claimed),
            f"list of {MAX_OWNERS} owners": lambda: _list_owners(redis),
        }
        return {
            title: await _cost(redis, calls, operation) for title, operation in operations.items()
        }
    finally:
        await redis.aclose()
        await stop_all(valkey)


async def _cost(redis: Redis, calls: int, call: Callable[[], Awaitable[int]]) -> float:
    """Return the time of a script per run, of the fastest batch: other processes disturb the rest.

    The first call loads the script and does not count.
    """
    await call()
    means: list[float] = []
    for _ in range(calls // _BATCH_CALLS):
        await redis.execute_command("CONFIG", "RESETSTAT")
        runs = sum([await call() for _ in range(_BATCH_CALLS)])
        info: dict[str, dict[str, int]] = await redis.execute_command("INFO", "commandstats")
        means.append(info["cmdstat_evalsha"]["usec"] / runs)
    return min(means)


async def _admit(admission: Admission, owner: str) -> int:
    run_id = new_run_id()
    run = Run(
        id=run_id,
        chat_id=run_id,
        owner=owner,
        message_id="m",
        agent="chat",
        model="m",
        request_id="bench",
    )
    job = RunChat(
        run_id=run_id,
        chat_id=run_id,
        message_id="m",
        request_id="bench",
        agent="chat",
        model="m",
        messages=(Message(role="user", parts=(TextPart(text="Hello"),)),),
    )
    await admission.admit(run, job, LimitSettings(queue_depth=0))
    return 1


async def _claim(redis: Redis, count: int, claimed: list[tuple[bytes, bytes, bytes, bytes]]) -> int:
    found = await lease_scripts.claim(
        redis,
        queues=[keys.QUEUE],
        lease_ms=600_000,
        count=count,
        running=0,
        background_share=0.1,
        worker_id=_WORKER,
    )
    claimed += found
    return len(found)


async def _release(redis: Redis, job_id: str) -> int:
    await lease_scripts.release(
        redis,
        queue=keys.QUEUE,
        job_id=job_id,
        worker_id=_WORKER,
        outcome="done",
    )
    return 1


async def _list_owners(redis: Redis) -> int:
    await read_owners(redis, keys.MAIN_QUEUE, MAX_OWNERS)
    return 1


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m bench.queue_scripts", description=__doc__)
    parser.add_argument("--waiting", type=int, default=WAITING, metavar="N")
    parser.add_argument("--calls", type=int, default=CALLS, metavar="N")
    parsed = parser.parse_args()
    if parsed.calls < _BATCH_CALLS:
        parser.error(f"--calls must be at least {_BATCH_CALLS}, which are measured together.")
    if parsed.waiting < (least := _MAX_CLAIM * (parsed.calls + 1)):
        parser.error(f"{parsed.calls:,} calls need {least:,} runs to claim. Increase --waiting.")
    return parsed


if __name__ == "__main__":
    arguments = _parse_arguments()
    print(f"{arguments.waiting:,} waiting runs of as many owners; microseconds in Redis per run")
    for name, cost in asyncio.run(measure(arguments.waiting, arguments.calls)).items():
        print(f"{name:18} {cost:6.1f}")
