"""Redis restarts during runs, and the other processes recover without a restart."""

import asyncio
import signal
from pathlib import Path

import pytest

from shared.redis import keys
from shared.redis.client import Redis, connect
from tests.support.ai_client.driver import AiClient
from tests.support.processes import Api, Valkey, Worker, start_all
from tests.support.sse_client import DONE, SseClient, SseEvent, check_whole, error_code, text
from tests.support.system.running_system import System, kill_process
from tests.support.wait import until

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_wrong_password_is_logged_once_and_ends_when_it_is_right() -> None:
    valkey = Valkey(options=("--requirepass", "right"))
    worker = Worker(
        f"redis://:wrong@127.0.0.1:{valkey.port}/0",
        "http://127.0.0.1:9/v1",
    )
    valkey.start()
    worker.start()

    async def logged(event: str, count: int = 1) -> bool:
        return worker.output.count(f'"{event}"') >= count

    try:
        await until(lambda: logged("worker.redis_unavailable"), seconds=30)
        await until(lambda: logged("subscriber.connect_failed"))
        assert not await logged("worker.started")
        client = connect(f"redis://:right@127.0.0.1:{valkey.port}/0", name="t", max_connections=2)
        # More failed connections than lines in the log.
        await until(lambda: _rejected(client, 8), seconds=30)
        await client.execute_command("CONFIG", "SET", "requirepass", "wrong")
        await until(lambda: logged("worker.started"), seconds=30)
        await until(lambda: logged("subscriber.connected"), seconds=30)
        output = worker.output
        await client.aclose()
    finally:
        await kill_process(worker)
        await kill_process(valkey)

    for event in ("worker.redis_unavailable", "subscriber.connect_failed", "subscriber.connected"):
        assert output.count(f'"{event}"') == 1, output
    assert output.index("worker.started") > output.index("worker.redis_unavailable")


async def _rejected(redis: Redis, count: int) -> bool:
    """Whether the server has rejected this many passwords."""
    stats: dict[str, int] = await redis.execute_command("INFO", "stats")
    return stats["acl_access_denied_auth"] >= count


async def test_answer_survives_a_redis_restart(
    durable: System, ai: AiClient, sse: SseClient, name: str
) -> None:
    later, [api], [worker] = f"{name}-later", durable.apis, durable.workers
    script = [[{"text": ["Hel"]}, {"wait": True}, {"text": ["lo", " world"]}]]
    await durable.upstream.script(name, script)
    await durable.upstream.script(later, [[{"text": ["Well"]}]])

    async with sse.ask(durable.chat, name, model=name) as stream:
        events = await stream.until("text-delta")
        await durable.valkey.kill()
        await until(lambda: _is_ready(sse, api, 503))
        refusal = await sse.post(durable.chat, later, model=later)
        assert [await stream.comment() for _ in range(3)] == [": keep-alive"] * 3
        await durable.upstream.release(name)
        await durable.valkey.start().ready()
        events += await stream.rest()

    assert (refusal.status_code, refusal.json()["code"]) == (503, "unavailable")
    check_whole(events)
    assert text(events) == "Hello world"
    assert await sse.replay(durable.chat, name) == events
    await until(lambda: _is_ready(sse, api, 200))
    answer = await ai.send(ai="7", api=durable.chat, chat=later, text="Hi", body={"model": later})
    assert (answer.error, answer.text) == (None, "Well")
    assert worker.child.poll() is None


async def _is_ready(sse: SseClient, api: Api, status: int) -> bool:
    return await sse.status(f"{api.url}/health/ready") == status


@pytest.mark.parametrize("fault", [signal.SIGSTOP, signal.SIGKILL])
async def test_worker_exits_in_time_without_redis(
    durable: System, sse: SseClient, name: str, fault: signal.Signals
) -> None:
    [worker] = durable.workers
    script = [[{"text": ["Hel"]}, {"wait": True}, {"text": ["lo"]}, {"wait": True}]]
    await durable.upstream.script(name, script)
    async with sse.ask(durable.chat, name, model=name) as stream:
        await stream.until("text-delta")
        durable.valkey.send(fault)
        await durable.upstream.release(name)

        worker.send(signal.SIGTERM)

        assert await worker.ended(seconds=15) == 0


async def test_request_that_outlasts_the_shutdown_receives_503(
    durable: System, sse: SseClient, name: str
) -> None:
    settings = {"MAMBA_SERVER__SHUTDOWN_GRACE_SECONDS": "1", "MAMBA_LOGGING__INCLUDE_BODY": "true"}
    api = Api(durable.valkey.url, settings)

    async def has_received_the_request() -> bool:
        return '"request.body"' in api.output

    await start_all(api)
    try:
        durable.valkey.send(signal.SIGSTOP)
        asking = asyncio.create_task(sse.post(f"{api.url}/chat", name))
        await until(has_received_the_request)

        api.send(signal.SIGTERM)

        refusal = await asking
        assert (refusal.status_code, refusal.json()["code"]) == (503, "unavailable")
        assert refusal.headers["content-type"] == "application/problem+json"
    finally:
        durable.valkey.send(signal.SIGCONT)
        await kill_process(api)


async def _is_missing(redis: Redis, key: str) -> bool:
    return not await redis.execute_command("EXISTS", key)


async def test_full_redis_refuses_chats_and_ends_running_ones(
    durable: System, sse: SseClient, name: str
) -> None:
    await durable.upstream.script(name, [[{"text": ["Hel"]}, {"wait": True}, {"text": ["lo"]}]])
    async with durable.redis() as redis, sse.ask(durable.chat, name, model=name) as stream:
        events = await stream.until("text-delta")
        # The buffers of connections, whose size varies, are small beside this key.
        await redis.execute_command("SET", "large", "." * 10_000_000, "PX", 600_000)
        used = (await redis.execute_command("INFO", "memory"))["used_memory"]
        await redis.execute_command("CONFIG", "SET", "maxmemory", int(used / 0.9))
        await until(lambda: _is_missing(redis, keys.MEMORY_CHECKED))
        refusal = await sse.post(durable.chat, f"{name}-later", model=name)
        await redis.execute_command("CONFIG", "SET", "maxmemory", 1)
        await durable.upstream.release(name)
        events += await stream.rest()

    assert (refusal.status_code, refusal.json()["code"]) == (503, "storage_full")
    check_whole(events)
    assert text(events) == "Hello"


async def test_reader_of_lost_events_gets_an_error_not_wrong_text(
    durable: System, sse: SseClient, name: str, tmp_path: Path
) -> None:
    await durable.upstream.script(name, [[{"words": 20, "delay": 0.01}, {"wait": True}]])
    async with sse.ask(durable.chat, name, model=name) as stream:
        seen: list[SseEvent] = []
        while "w19" not in "".join(event.data for event in seen):
            seen += await stream.read(1)
        await durable.valkey.kill()
        cut_log(tmp_path, before="w10")
        await durable.valkey.start().ready()
        rest = await stream.rest()

    assert error_code(rest) == "lost"
    assert text(seen + rest) == text(seen)
    refusal = await sse.get(durable.chat, name, after=str(seen[-1].id))
    assert (refusal.status_code, refusal.json()["code"]) == (410, "cursor_lost")
    await durable.upstream.release(name)
    replayed = await sse.replay(durable.chat, name)
    check_whole(replayed)
    assert {event.id.split("-")[0] for event in replayed} == {"1", "2"}
    assert text(replayed) == text(seen)


def cut_log(folder: Path, before: str) -> None:
    """Cut the append-only file, as a crash of the machine does with writes not yet on disk."""
    [file] = folder.glob("appendonlydir/*.incr.aof")
    content = file.read_bytes()
    file.write_bytes(content[: content.index(before.encode())])


async def test_client_ahead_of_the_restored_stream_gets_an_error(
    durable: System, sse: SseClient, name: str
) -> None:
    await durable.upstream.script(name, [[{"words": 20, "delay": 0.02}, {"wait": True}]])
    async with durable.redis() as redis, sse.ask(durable.chat, name, model=name) as stream:
        while "w19" not in (await stream.read(1))[0].data:
            pass
        stream_key = keys.stream(stream.run_id)
        for entry_id, _ in (await redis.execute_command("XRANGE", stream_key, "-", "+"))[5:]:
            await redis.execute_command("XDEL", stream_key, entry_id)

        assert (await sse.stop(durable.chat, name)).json()["state"] == "cancelled"

        events = await stream.rest()

    assert error_code(events) == "lost"
    assert events[-1].data == DONE
