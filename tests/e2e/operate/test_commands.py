"""The operator's commands against a running system."""

import asyncio
import os
import signal
import sys
from contextlib import AsyncExitStack

import pytest

from shared.redis import keys
from tests.support.fakes.proxy import Proxy
from tests.support.processes import MambaProcess, ServerProcess
from tests.support.redis_cluster import SharedCluster
from tests.support.sse_client import SseClient, check_whole
from tests.support.system.commands import mamba, paused_answer
from tests.support.system.running_system import System
from tests.support.wait import until

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_queue_shows_running_and_waiting_runs(
    workerless: System, sse: SseClient, name: str
) -> None:
    async def slot_is_reported() -> bool:
        listed = (await mamba(workerless, "worker", "list", "--json")).json
        return [worker["running"] for worker in listed] == [1]

    async with (
        workerless.start_workers(1, WORKER__CONCURRENCY=1),
        paused_answer(workerless, sse, name) as running,
    ):
        async with sse.ask(workerless.chat, f"{name}-2", model=name) as waiting:
            await until(slot_is_reported, seconds=30)
            result = await mamba(workerless, "queue")
            report = (await mamba(workerless, "queue", "--json")).json
            first = (await mamba(workerless, "queue", "--json", "--limit", "1")).json
        await workerless.upstream.release(name)

    assert result.code == 0
    assert "\x1b" not in result.out
    header, main = result.out.splitlines()[:2]
    assert header.split()[:5] == ["QUEUE", "WAITING", "RUNNING", "DEFERRED", "OLDEST"]
    assert header.split()[5:] == ["EXPECTED", "WORKERS", "SLOTS", "NOTE"]
    assert main.endswith("1  1/1    all slots in use")
    assert main.split()[:4] == ["main", "1", "1", "0"]
    lines = {line.split()[0]: line.split() for line in result.out.splitlines()[4:]}
    assert lines[running.run_id][1] == "running"
    assert lines[waiting.run_id][1] == "waiting"
    assert [queue["queue"] for queue in report["queues"]] == ["main"]
    assert {run["id"] for run in report["runs"]} == {running.run_id, waiting.run_id}
    assert len(first["runs"]) == 1


async def test_empty_queue_is_reported(workerless: System) -> None:
    result = await mamba(workerless, "queue")

    assert result.code == 0
    assert "No runs are waiting" in result.out


async def test_queue_limit_keeps_running_runs_visible(
    workerless: System, sse: SseClient, name: str
) -> None:
    async with (
        workerless.start_workers(1, WORKER__CONCURRENCY=1),
        paused_answer(workerless, sse, name) as running,
    ):
        async with AsyncExitStack() as stack:
            for number in range(3):
                ask = sse.ask(workerless.chat, f"{name}-{number}", model=name)
                await stack.enter_async_context(ask)
            result = await mamba(workerless, "queue", "--limit", "2")
        await workerless.upstream.release(name)

    assert running.run_id in result.out
    assert result.out.endswith("… and 2 more (--limit)\n")


@pytest.mark.parametrize("arguments", [("queue",), ("queue", "--watch"), ("doctor", "--json")])
@pytest.mark.parametrize("unbuffered", ["", "1"])
async def test_closed_pipe_is_not_an_error(
    workerless: System, arguments: tuple[str, ...], unbuffered: str
) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "mamba", *arguments),
        env={
            **os.environ,
            "MAMBA_REDIS__URL": workerless.valkey.url,
            "PYTHONUNBUFFERED": unbuffered,
        },
        stdout=writer,
        stderr=asyncio.subprocess.PIPE,
    )
    os.close(writer)
    _, error = await process.communicate()

    assert error == b""
    assert process.returncode == (1 if "doctor" in arguments else 0)  # without a worker


async def test_queue_watch_reports_unresponsive_redis(workerless: System) -> None:
    async with Proxy(workerless.valkey.port) as proxy:
        watching = MambaProcess(
            *("queue", "--watch", "--json"),
            env={"MAMBA_REDIS__URL": f"redis://127.0.0.1:{proxy.port}/0"},
        ).start()

        async def has_output() -> bool:
            return '"queues"' in watching.output

        await until(has_output, seconds=30)
        proxy.freeze()

        assert await watching.ended(seconds=60) == 1
        error = f"Redis at 127.0.0.1:{proxy.port} is unreachable: no response within 5 seconds"
        assert error in watching.output
        await watching.stop()


async def test_queue_watch_runs_until_interrupted(workerless: System) -> None:
    watching = ServerProcess(
        *(sys.executable, "-m", "mamba", "queue", "--watch", "--json"),
        env={"MAMBA_REDIS__URL": workerless.valkey.url, "PYTHONUNBUFFERED": "1"},
    ).start()

    async def has_refreshed() -> bool:
        return watching.output.count('"queues"') >= 2

    await until(has_refreshed, seconds=60)
    watching.send(signal.SIGINT)

    assert await watching.ended() == 0
    assert "Traceback" not in watching.output
    await watching.stop()


async def test_run_show_omits_messages(system: System, sse: SseClient, name: str) -> None:
    async with paused_answer(system, sse, name) as stream:
        result = await mamba(system, "run", "show", stream.run_id)
        report = (await mamba(system, "run", "show", stream.run_id, "--json")).json
        await system.upstream.release(name)

    assert result.code == 0
    assert "Hel" not in result.out
    assert report["state"] == "running"
    assert report["worker"]
    assert report["events"] >= 4
    assert report["attempts"] == 1


async def test_control_characters_from_clients_are_replaced(
    workerless: System, sse: SseClient, name: str
) -> None:
    async with sse.ask(workerless.chat, name, model=f"{name}\x1b[2J\nstate  succeeded") as stream:
        result = await mamba(workerless, "run", "show", stream.run_id)

    assert "\x1b" not in result.out
    assert f"{name}�[2J�state  succeeded\n" in result.out


async def test_run_stop_ends_the_stream(system: System, sse: SseClient, name: str) -> None:
    async with paused_answer(system, sse, name) as stream:
        result = await mamba(system, "run", "stop", stream.run_id)
        rest = await stream.rest()
        again = await mamba(system, "run", "stop", stream.run_id)

    assert result.code == 0
    assert "cancelled" in result.out
    assert rest[-2].chunk["type"] == "abort"
    assert again.code == 1
    assert "has already ended (cancelled)" in again.error


async def test_run_stop_works_without_a_worker(
    workerless: System, sse: SseClient, name: str
) -> None:
    async with sse.ask(workerless.chat, name, model=name) as stream:
        result = await mamba(workerless, "run", "stop", stream.run_id)
        rest = await stream.rest()

    assert result.code == 0
    assert rest[-2].chunk["type"] == "abort"


async def test_run_requeue_makes_deferred_run_due(
    workerless: System, sse: SseClient, name: str
) -> None:
    await workerless.upstream.script(name, [[{"text": ["Hello"]}]])

    async with sse.ask(workerless.chat, name, model=name) as stream:
        async with workerless.redis() as redis:
            await redis.execute_command("ZADD", keys.QUEUE, 9e15, stream.run_id)
        result = await mamba(workerless, "run", "requeue", stream.run_id)
        async with workerless.start_workers(1):
            events = await stream.rest()

    assert result.code == 0
    check_whole(events)


async def test_run_requeue_rejects_claimed_run(system: System, sse: SseClient, name: str) -> None:
    async with paused_answer(system, sse, name) as stream:
        result = await mamba(system, "run", "requeue", stream.run_id)
        await system.upstream.release(name)
        await stream.rest()
        ended = await mamba(system, "run", "requeue", stream.run_id)

    assert result.code == 1
    assert "mamba worker drain" in result.error
    assert ended.code == 1
    assert "has already ended (succeeded)" in ended.error


async def test_run_that_moves_to_the_front_is_listed_first(
    workerless: System, sse: SseClient, name: str
) -> None:
    await workerless.upstream.script(name, [[{"text": ["Hello"]}]])
    async with (
        sse.ask(workerless.chat, f"{name}-1", model=name) as first,
        sse.ask(workerless.chat, f"{name}-2", model=name) as second,
    ):
        result = await mamba(workerless, "run", "move-to-front", second.run_id)
        shown = await mamba(workerless, "run", "show", second.run_id)
        listed = await mamba(workerless, "queue")
        async with workerless.start_workers(1):
            await second.rest()
            await first.rest()

    assert result.code == 0
    assert "is now the first run in the queue main" in result.out
    assert "to the front of its queue by cli:" in shown.out
    assert listed.out.index(second.run_id) < listed.out.index(first.run_id)


@pytest.mark.parametrize("command", ["show", "stop", "requeue", "move-to-front"])
async def test_unknown_run_is_reported(system: System, command: str) -> None:
    result = await mamba(system, "run", command, "unknown")

    assert result.code == 1
    assert "no run 'unknown'" in result.error


async def test_worker_list_and_drain(workerless: System, sse: SseClient, name: str) -> None:
    async with (
        workerless.start_workers(1) as [leaving],
        paused_answer(workerless, sse, name) as stream,
    ):
        [worker] = (await mamba(workerless, "worker", "list", "--json")).json

        async def lists_two_workers() -> bool:
            listed = await mamba(workerless, "worker", "list")
            return len(listed.out.splitlines()) == 3

        async with workerless.start_workers(1) as [remaining]:
            processes = (*workerless.apis, remaining, leaving)

            async def drain_is_logged() -> bool:
                return any("ops.worker_drained" in process.output for process in processes)

            await until(lists_two_workers)
            result = await mamba(workerless, "worker", "drain", worker["id"])
            await until(drain_is_logged, seconds=30)
            await workerless.upstream.release(name)
            rest = await stream.rest()
            code = await leaving.ended()

    assert result.code == 0
    assert code == 0
    assert rest[-2].chunk["type"] == "finish"


async def test_worker_list_without_workers_fails(workerless: System) -> None:
    listed = await mamba(workerless, "worker", "list", "--json")
    drained = await mamba(workerless, "worker", "drain", "unknown")

    assert (listed.code, listed.json) == (1, [])
    assert "No worker is alive" in listed.error
    assert drained.code == 1
    assert "'unknown'" in drained.error


async def test_doctor_reports_healthy_system(system: System) -> None:
    report = await mamba(system, "doctor", "--json")

    found = {finding["part"]: finding["status"] for finding in report.json}
    assert report.code == 0, report.out
    assert found["settings"] == found["clock"] == found["workers"] == found["queue main"] == "ok"


async def test_doctor_reports_missing_worker_with_fix(workerless: System) -> None:
    result = await mamba(workerless, "doctor", MAMBA_SERVER__HOST="0.0.0.0")

    assert result.code == 1
    assert "\x1b" not in result.out
    assert "error     workers: no worker is running" in result.out
    assert "→ start one: mamba worker" in result.out
    assert "warning   auth:" in result.out
    assert "appendonly" in result.out


async def test_doctor_reports_eviction_policy(workerless: System) -> None:
    async with workerless.redis() as redis, workerless.start_workers(1):
        await redis.execute_command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
        unlimited = await mamba(workerless, "doctor")
        await redis.execute_command("CONFIG", "SET", "maxmemory", 1_000_000_000)
        limited = await mamba(workerless, "doctor")
        await redis.execute_command("CONFIG", "SET", "maxmemory", 0)
        await redis.execute_command("CONFIG", "SET", "maxmemory-policy", "noeviction")

    assert "warning   redis: evicts keys when its memory is full" in unlimited.out
    assert limited.code == 1
    assert "error     redis: evicts keys when its memory is full" in limited.out


async def test_doctor_reports_nearly_full_redis(workerless: System) -> None:
    async with workerless.redis() as redis:
        used = (await redis.execute_command("INFO", "memory"))["used_memory"]
        await redis.execute_command("CONFIG", "SET", "maxmemory", used // 2)
        result = await mamba(workerless, "doctor")
        await redis.execute_command("CONFIG", "SET", "maxmemory", 0)

    assert "of its memory; new chats are rejected above 85% (limits.redis_memory)" in result.out
    assert "error     redis" in result.out


async def test_doctor_reports_replica(workerless: System) -> None:
    async with workerless.redis() as redis:
        await redis.execute_command("REPLICAOF", "127.0.0.1", "1")
        result = await mamba(workerless, "doctor")
        await redis.execute_command("REPLICAOF", "NO", "ONE")

    assert "error     redis: is a read-only replica" in result.out
    assert "→ set redis.url to its primary" in result.out


async def test_doctor_reports_rejected_password(
    workerless: System,
) -> None:
    address = workerless.valkey.url.removeprefix("redis://")
    result = await mamba(workerless, "doctor", MAMBA_REDIS__URL=f"redis://:secret@{address}")

    assert result.code == 1
    assert "rejected the credentials" in result.out
    assert "secret" not in result.out


async def test_doctor_reports_wrong_settings_and_unreachable_redis(system: System) -> None:
    wrong = await mamba(system, "doctor", MAMBA_SERVER__PORT="many")
    away = await mamba(system, "doctor", MAMBA_REDIS__URL="redis://user:secret@127.0.0.1:1/0")

    assert wrong.code == away.code == 1
    assert "server.port" in wrong.out
    assert "Redis at 127.0.0.1:1 (redis.url) is unreachable" in away.out
    assert "secret" not in away.out


async def test_doctor_reports_cluster_mismatch_and_missing_channels(
    system: System, clusters: SharedCluster
) -> None:
    async with clusters.emptied() as cluster:
        node = f"redis://{cluster.primaries[0].address}"
        single = await mamba(system, "doctor", MAMBA_REDIS__STREAMS_URL=node)
        for one in cluster.primaries:
            rules = ("on", ">secret", "~mamba:*", "resetchannels", "+@all")
            await one.ask("ACL", "SETUSER", "mute", *rules)
        as_mute = cluster.url.replace("//", "//mute:secret@")
        mute = await mamba(system, "doctor", MAMBA_REDIS__STREAMS_URL=as_mute)
        for one in cluster.primaries:
            await one.ask("ACL", "DELUSER", "mute")
    server = f"cluster://user:secret@127.0.0.1:{system.valkey.port}"
    none = await mamba(system, "doctor", MAMBA_REDIS__STREAMS_URL=server)

    assert "is a cluster node" in single.out
    assert "→ use the scheme cluster:// in redis.streams_url" in single.out
    assert "redis.streams_url" in none.out
    assert "→ allow the user of redis.streams_url the channels &mamba:*" in mute.out
    assert "secret" not in none.out + mute.out


@pytest.mark.parametrize("arguments", [("queue",), ("run", "show", "x"), ("worker", "list")])
async def test_unreachable_redis_is_reported_in_one_line(
    system: System, arguments: tuple[str, ...]
) -> None:
    result = await mamba(system, *arguments, MAMBA_REDIS__URL="redis://user:secret@127.0.0.1:1/0")

    assert result.code == 1
    assert len(result.error.splitlines()) == 1
    assert "secret" not in result.error
