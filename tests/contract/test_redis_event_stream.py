"""The parts of the event stream that only Redis has: key expiry, scripts and publications."""

from dataclasses import replace

import pytest

from shared.errors import Fenced
from shared.redis import keys
from shared.redis.client import OutOfMemoryError, Redis
from shared.redis.subscriber import Subscriber
from shared.runs.store import RunStore
from shared.streams.event_stream import Append, Closure, StoredRun
from shared.streams.events import DONE
from shared.streams.run_state import RunState
from tests.support.fakes.recorder import Recorder
from tests.support.fakes.runs import new_run
from tests.support.processes import Valkey
from tests.support.stream_harness import LIVE_TTL, RETENTION, StreamHarness, redis_harness

SUCCEEDED = Closure(RunState.SUCCEEDED)


@pytest.fixture
def harness(redis: Redis) -> StreamHarness:
    return redis_harness(redis)


async def ttls(redis: Redis, run_id: str) -> list[float]:
    names = (keys.run(run_id), keys.stream(run_id))
    return [await redis.execute_command("PTTL", name) / 1000 for name in names]


async def test_each_write_renews_the_ttl_of_a_live_run(
    redis: Redis, harness: StreamHarness
) -> None:
    run_id, _ = await harness.begin_run()
    after_takeover = await ttls(redis, run_id)
    await shorten_ttls(redis, run_id)

    await harness.stream.append(Append(run_id, 1, 1, [b"a"]))
    after_append = await ttls(redis, run_id)
    await shorten_ttls(redis, run_id)
    await harness.stream.take_over(run_id)

    for ttl in (*after_takeover, *after_append, *await ttls(redis, run_id)):
        assert LIVE_TTL - 30 < ttl <= LIVE_TTL


async def shorten_ttls(redis: Redis, run_id: str) -> None:
    for name in (keys.run(run_id), keys.stream(run_id)):
        await redis.execute_command("PEXPIRE", name, 20_000)


async def test_ended_run_is_kept_for_the_retention(redis: Redis, harness: StreamHarness) -> None:
    run_id, _ = await harness.begin_run()

    await harness.stream.append(Append(run_id, 1, 1, [b"finish", DONE], SUCCEEDED))

    for ttl in await ttls(redis, run_id):
        assert RETENTION - 30 < ttl <= RETENTION


async def test_refused_append_does_not_extend_the_ttl_of_an_ended_run(
    redis: Redis, harness: StreamHarness
) -> None:
    run_id, _ = await harness.begin_run()
    closing = Append(run_id, 1, 1, [b"finish", DONE], SUCCEEDED)
    await harness.stream.append(closing)
    await shorten_ttls(redis, run_id)

    await harness.stream.append(closing, Append(run_id, 1, 3, [b"late"]))

    for ttl in await ttls(redis, run_id):
        assert ttl <= 20


async def test_counting_does_not_recreate_an_expired_run(
    redis: Redis, harness: StreamHarness
) -> None:
    await harness.runs.request_stop("expired")
    await harness.runs.count_failure("expired", 1)
    await harness.runs.count_handover("expired", 1)

    assert await redis.execute_command("EXISTS", keys.run("expired")) == 0


async def test_writes_reload_scripts_that_the_server_lost(
    redis: Redis, harness: StreamHarness
) -> None:
    await redis.execute_command("SCRIPT", "FLUSH")
    run_id, _ = await harness.begin_run()
    await redis.execute_command("SCRIPT", "FLUSH")

    verdicts = await harness.stream.append(
        Append(run_id, 1, 1, [b"a"]), Append(run_id, 1, 2, [b"b"])
    )

    assert verdicts == [False, False]
    assert await harness.payloads(run_id) == [b"a", b"b"]


async def test_append_to_a_full_server_needs_the_end_of_its_run(
    redis: Redis, harness: StreamHarness
) -> None:
    run_id, _ = await harness.begin_run()
    append = Append(run_id, 1, 1, [b"a", b"b"])
    await redis.execute_command("CONFIG", "SET", "maxmemory", 1)
    try:
        [verdict] = await harness.stream.append(append)
        assert isinstance(verdict, OutOfMemoryError)
        assert await harness.payloads(run_id) == []
        assert await harness.stream.append(replace(append, ending=True)) == [False]
    finally:
        await redis.execute_command("CONFIG", "SET", "maxmemory", 0)

    assert await harness.payloads(run_id) == [b"a", b"b"]


async def test_run_can_be_stopped_and_ended_on_a_full_server(
    redis: Redis, harness: StreamHarness
) -> None:
    run_id, takeover = await harness.begin_run()
    await redis.execute_command("CONFIG", "SET", "maxmemory", 1)
    try:
        await harness.runs.request_stop(run_id)
        again = await harness.stream.take_over(run_id)
        closure = Closure(RunState.CANCELLED)
        ended = await harness.append(Append(run_id, again.attempt, 1, [DONE], closure))
    finally:
        await redis.execute_command("CONFIG", "SET", "maxmemory", 0)

    assert again.attempt == takeover.attempt + 1
    assert isinstance(ended, StoredRun)
    assert (await harness.run(run_id)).state is RunState.CANCELLED


async def test_usage_of_an_attempt_is_stored_with_its_entries(
    redis: Redis, harness: StreamHarness
) -> None:
    runs = RunStore(redis, live_ttl=LIVE_TTL)
    run_id, _ = await harness.begin_run()
    usage = '{"input_tokens": 5}'

    await harness.stream.append(Append(run_id, 1, 1, [b"a"], usage=usage))
    assert await runs.usages(run_id) == {1: usage}
    await harness.stream.take_over(run_id)
    verdict = await harness.append(Append(run_id, 1, 2, [b"b"], usage="{}"))

    assert isinstance(verdict, Fenced)
    assert await runs.usages(run_id) == {1: usage}


async def test_keys_of_a_run_share_a_hash_tag() -> None:
    run = new_run("some-run")

    assert "{some-run}" in keys.run(run.id)
    assert "{some-run}" in keys.stream(run.id)


async def test_new_entries_are_published_once(
    valkey: Valkey, redis: Redis, harness: StreamHarness
) -> None:
    run_id, _ = await harness.begin_run()
    listener, channel = Recorder(), keys.stream(run_id)
    async with Subscriber(valkey.url, name="test") as subscriber:
        subscriber.add(channel, listener)
        await listener.has_gaps(1)

        for append in (
            Append(run_id, 1, 1, [b'{"a": 1}', b"b"]),
            Append(run_id, 1, 1, [b'{"a": 1}', b"b"]),
            Append(run_id, 1, 2, [b"b", b"c"]),
            Append(run_id, 1, 5, [b"gap"]),
        ):
            await harness.stream.append(append)
        await harness.stream.take_over(run_id)
        for append in (
            Append(run_id, 1, 4, [b"stale"]),
            Append(run_id, 2, 4, [DONE], SUCCEEDED),
            Append(run_id, 2, 4, [DONE], SUCCEEDED),
            Append(run_id, 2, 5, [b"late"]),
        ):
            await harness.stream.append(append)

        messages = await listener.all_before(redis, channel)
    assert messages == [b'1-1 {"a": 1}\n1-2 b', b"1-3 c", b"2-4 [DONE]"]
