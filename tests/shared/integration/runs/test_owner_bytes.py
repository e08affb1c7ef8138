"""The bytes that an owner's runs may occupy in Redis."""

import pytest

from shared.errors import OwnerStorageFull
from shared.limits.owner_bytes import RUN_BYTES
from shared.redis import keys
from shared.runs.admission import Admitted
from shared.streams.event_stream import Append, Closure
from shared.streams.events import DONE
from shared.streams.run_state import RunState
from tests.support.admission_harness import LIVE_TTL, OWNER, AdmissionHarness

SUCCEEDED = Closure(RunState.SUCCEEDED)
#: A run with a short question occupies RUN_BYTES and a job of less than this.
JOB_BYTES = 1_000


async def used(harness: AdmissionHarness) -> int:
    return int(await harness.redis.execute_command("HGET", keys.owner_bytes(OWNER), "total") or 0)


async def counted(harness: AdmissionHarness) -> list[str]:
    ids: list[bytes] = await harness.redis.execute_command(
        "ZRANGE", keys.owner_stored(OWNER), 0, -1
    )
    return sorted(run_id.decode() for run_id in ids)


async def expiry(harness: AdmissionHarness, name: str) -> int:
    return int(await harness.redis.execute_command("ZSCORE", keys.owner_stored(OWNER), name))


async def end(harness: AdmissionHarness, name: str, *, size: int = 0) -> Append:
    """End a run with an answer of this size, as a worker does, and return the last append."""
    takeover = await harness.stream.take_over(name)
    entries = [b"x" * size, DONE]
    append = Append(name, takeover.attempt, 1, entries, SUCCEEDED)
    stored = await harness.append_last(append)
    await harness.queue.remove(name)
    await harness.ended_runs.add(name, failed=False, stored=stored)
    return append


async def age(harness: AdmissionHarness, *names: str) -> None:
    """Let the runs expire."""
    for name in names:
        await harness.redis.execute_command("ZADD", keys.owner_stored(OWNER), 1, name)


async def test_requests_count_until_the_limit(harness: AdmissionHarness) -> None:
    limit = 3 * (RUN_BYTES + JOB_BYTES)

    for number in range(3):
        assert isinstance(await harness.admit(f"run-{number}", owner_bytes=limit), Admitted)
    before = await harness.dump()
    with pytest.raises(OwnerStorageFull, match="Delete chats, or wait") as error:
        await harness.admit("run-4", owner_bytes=3 * RUN_BYTES)

    assert 1 <= error.value.retry_after <= 300
    assert await harness.dump() == before
    assert 3 * RUN_BYTES < await used(harness) < limit


async def test_bytes_are_separate_for_each_owner(harness: AdmissionHarness) -> None:
    limit = RUN_BYTES + JOB_BYTES
    await harness.admit("run-1", owner="anna", owner_bytes=limit)

    with pytest.raises(OwnerStorageFull):
        await harness.admit("run-2", owner="anna", owner_bytes=limit)
    assert await harness.admit("run-3", owner="bert", owner_bytes=limit)


async def test_stored_answer_counts_instead_of_the_request(harness: AdmissionHarness) -> None:
    limit = 300_000
    await harness.admit("run-1", owner_bytes=limit)
    await end(harness, "run-1", size=190_000)

    assert 190_000 < await used(harness) < limit
    await harness.admit("run-2", owner_bytes=limit)
    await end(harness, "run-2", size=120_000)
    with pytest.raises(OwnerStorageFull):
        await harness.admit("run-3", owner_bytes=limit)


async def test_end_that_is_recorded_twice_counts_once(harness: AdmissionHarness) -> None:
    await harness.admit("run-1", owner_bytes=10**6)
    append = await end(harness, "run-1", size=50_000)
    total = await used(harness)

    stored = await harness.append_last(append)
    await harness.ended_runs.add("run-1", failed=False, stored=stored)

    assert await used(harness) == total


async def test_expired_runs_no_longer_count(harness: AdmissionHarness) -> None:
    limit = 2 * (RUN_BYTES + JOB_BYTES)
    for name in ("run-1", "run-2"):
        await harness.admit(name, owner_bytes=limit)
    await age(harness, "run-1", "run-2")

    assert isinstance(await harness.admit("run-3", owner_bytes=limit), Admitted)
    assert await counted(harness) == ["run-3"]
    assert await used(harness) < RUN_BYTES + JOB_BYTES


async def test_erased_runs_no_longer_count(harness: AdmissionHarness) -> None:
    for name in ("run-1", "run-2"):
        await harness.admit(name, owner_bytes=10**6)
    await end(harness, "run-1", size=50_000)

    await harness.chats.remove(OWNER, "chat-run-1", ["run-1"])

    assert await counted(harness) == ["run-2"]
    assert await used(harness) < RUN_BYTES + JOB_BYTES
    await harness.chats.remove(OWNER, "chat-run-2", ["run-2"])
    assert await used(harness) == 0


async def test_continued_run_counts_as_long_as_the_newest(harness: AdmissionHarness) -> None:
    await harness.admit("run-1", chat="chat", owner_bytes=10**6)
    await end(harness, "run-1")
    near = await expiry(harness, "run-1") - 60_000
    await harness.redis.execute_command("ZADD", keys.owner_stored(OWNER), near, "run-1")

    await harness.admit("run-2", chat="chat", continues=("run-1",), owner_bytes=10**6)

    assert await expiry(harness, "run-1") == await expiry(harness, "run-2") > near


async def test_runs_are_not_counted_without_a_limit(harness: AdmissionHarness) -> None:
    await harness.admit("run-1", owner_bytes=0)
    await end(harness, "run-1", size=50_000)

    assert await counted(harness) == []
    assert await used(harness) == 0


async def test_counts_expire_with_the_runs(harness: AdmissionHarness) -> None:
    await harness.admit("run-1", owner_bytes=10**6)
    await end(harness, "run-1")

    for key in (keys.owner_bytes(OWNER), keys.owner_stored(OWNER)):
        ttl = await harness.redis.execute_command("PTTL", key)
        assert 0 < ttl <= LIVE_TTL * 1000
