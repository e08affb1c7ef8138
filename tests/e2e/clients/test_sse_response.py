"""Headers, heartbeats, and refusals of the SSE response."""

import asyncio

import httpx
import pytest

from tests.support.sse_client import DONE, SseClient, check_whole, error_detail, text, types
from tests.support.system.running_system import System
from tests.support.wait import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

OPEN, BEAT = ": stream-open", ": keep-alive"


async def test_response_headers_describe_the_run(system: System, sse: SseClient, name: str) -> None:
    await system.upstream.script(name, [[{"text": ["Hello"]}]])

    async with sse.ask(system.chat, name, model=name) as post:
        check_whole(await post.rest())
    async with sse.follow(system.other_chat, name) as get:
        check_whole(await get.rest())

    for stream in (post, get):
        headers = stream.response.headers
        assert headers["content-type"].startswith("text/event-stream")
        assert headers["x-vercel-ai-ui-message-stream"] == "v1"
        assert headers["x-accel-buffering"] == "no"
        assert "no-cache" in headers["cache-control"]
        assert headers["x-run-id"] == post.run_id
        assert headers["x-request-id"]
        assert stream.comments == [OPEN]


async def test_silent_stream_sends_heartbeats(
    workerless: System, sse: SseClient, name: str
) -> None:
    await workerless.upstream.script(name, [[{"wait": True}, {"text": ["Hello"]}]])

    async with workerless.start_workers(), sse.ask(workerless.chat, name, model=name) as stream:
        assert await stream.comment() == OPEN
        events = await stream.until("start")
        assert [await stream.comment() for _ in range(3)] == [BEAT] * 3
        await workerless.upstream.release(name)
        events += await stream.rest()

    check_whole(events)


async def test_queued_stream_sends_heartbeats_until_claimed(
    workerless: System, sse: SseClient, name: str
) -> None:
    await workerless.upstream.script(name, [[{"text": ["Hello"]}]])

    async with (
        sse.ask(workerless.chat, name, model=name) as post,
        sse.follow(workerless.other_chat, name) as get,
    ):
        for stream in (post, get):
            assert [await stream.comment() for _ in range(4)] == [OPEN, BEAT, BEAT, BEAT]
        async with workerless.start_workers():
            events = await post.rest()
            assert await get.rest() == events

    check_whole(events)
    assert text(events) == "Hello"


async def test_lost_job_ends_the_stream_with_an_error(
    workerless: System, sse: SseClient, name: str
) -> None:
    async with sse.ask(workerless.chat, name, model=name) as stream, workerless.redis() as redis:
        await stream.comment()
        await redis.execute_command("DEL", "mamba:queue")
        events = await stream.rest()

    check_whole(events, ending="error")
    assert (await workerless.run(stream.run_id))["error"] == "lost"


async def test_lost_run_ends_the_stream_with_an_error(
    workerless: System, sse: SseClient, name: str
) -> None:
    async with sse.ask(workerless.chat, name, model=name) as stream, workerless.redis() as redis:
        await stream.comment()
        await redis.execute_command("FLUSHALL")
        events = await stream.rest()

    assert types(events) == ["data-error", "error"]
    request_id = stream.response.headers["x-request-id"]
    assert error_detail(events) == {"code": "lost", "requestId": request_id, "retryable": True}
    assert events[-1].data == DONE


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"messages": []}, "messages"),
        ({"tools": ["rm -rf"]}, "tools[0]"),
        ({"agent": "unknown"}, "agent"),
    ],
)
async def test_invalid_request_is_rejected_with_field_path(
    system: System, sse: SseClient, name: str, body: dict[str, object], field: str
) -> None:
    refusal = await sse.post(system.chat, name, **body)

    assert refusal.status_code == 422
    assert refusal.headers["content-type"] == "application/problem+json"
    assert refusal.json()["field"] == field
    assert refusal.json()["request_id"] == refusal.headers["x-request-id"]


async def test_disconnected_client_leaves_no_resources(
    workerless: System, sse: SseClient, name: str
) -> None:
    async def come_and_go(_: int) -> None:
        async with sse.follow(workerless.chat, name) as stream:
            await stream.comment()

    async with sse.ask(workerless.chat, name, model=name) as stream:
        await stream.comment()
        await asyncio.gather(*map(come_and_go, range(50)))
    await sse.stop(workerless.chat, name)

    async def no_subscribers() -> bool:
        async with workerless.redis() as redis:
            return not await redis.execute_command("PUBSUB", "CHANNELS", "mamba:run:*")

    await until(no_subscribers)


async def test_live_follow_of_an_ended_run_returns_204(
    system: System, sse: SseClient, name: str
) -> None:
    await system.upstream.script(name, [[{"text": ["Hello"]}, {"wait": True}]])
    url = f"{system.other_chat}/{name}/stream?live=true"

    async with httpx.AsyncClient(timeout=30) as http:
        async with sse.ask(system.chat, name, model=name) as stream:
            await stream.until("text-delta")
            async with http.stream("GET", url) as live:
                assert live.status_code == 200
            await system.upstream.release(name)
            await stream.rest()
        ended = await http.get(url)

    assert (ended.status_code, ended.content) == (204, b"")
