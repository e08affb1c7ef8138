"""Webhooks of real processes reach a receiver that fails, although a worker is killed."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from shared.redis import keys
from tests.support.processes import Api, Valkey, start_all, stop_all
from tests.support.sse_client import Json, SseClient
from tests.support.system.running_system import System
from tests.support.upstream.client import Upstream
from tests.support.wait import until
from tests.support.webhook_receiver import SECRET, WebhookReceiver, response, webhook_receiver

pytestmark = pytest.mark.asyncio(loop_scope="session")

HELLO: list[list[Json]] = [[{"text": ["Hello", " world"]}]]
ENDLESS: list[list[Json]] = [[{"text": ["Hello"]}, {"wait": True}]]


class WebhookSystem(System):
    """A system that sends webhooks; its workers are started by each test."""

    async def forward_time(self) -> None:
        """Make all checks, retries, and expired leases due."""
        async with self.redis() as redis:
            for name in (keys.WEBHOOK_RUNS, keys.webhook_due("app")):
                for run_id in await redis.execute_command("ZRANGE", name, 0, -1):
                    await redis.execute_command("ZADD", name, "XX", 1, run_id)

    async def pending(self) -> int:
        async with self.redis() as redis:
            listed = await redis.execute_command("ZCARD", keys.WEBHOOK_RUNS)
            return listed + await redis.execute_command("ZCARD", keys.webhook_due("app"))


@pytest_asyncio.fixture(loop_scope="session")
async def webhooks(upstream: Upstream) -> AsyncGenerator[tuple[WebhookSystem, WebhookReceiver]]:
    async with AsyncExitStack() as stack:
        receiver = await stack.enter_async_context(webhook_receiver())
        valkey = Valkey()
        await start_all(valkey)
        stack.push_async_callback(stop_all, valkey)
        env = {f"MAMBA_{name}": value for name, value in _settings(receiver).items()}
        api = Api(valkey.url, env)
        stack.push_async_callback(stop_all, api)
        await start_all(api)
        yield WebhookSystem(valkey, upstream, [api]), receiver


def _settings(receiver: WebhookReceiver) -> dict[str, str]:
    return {
        "WEBHOOKS__APP__URL": receiver.url,
        "WEBHOOKS__APP__SECRET": SECRET,
        "WEBHOOKS__APP__TIMEOUT_SECONDS": "1",
    }


async def test_each_ending_arrives_despite_failures_and_a_kill(
    webhooks: tuple[WebhookSystem, WebhookReceiver], sse: SseClient, name: str
) -> None:
    system, receiver = webhooks
    answers = [f"{name}-{number}" for number in range(4)]
    receiver.script = [
        response(500),
        "reset",
        response(429, "retry-after: 3600"),
        response(302, "location: /elsewhere"),
        "hang",
        "hang",
        "hang",
        "hang",
    ]
    for model in answers:
        await system.upstream.script(model, HELLO)
    await system.upstream.script(f"{name}-stopped", ENDLESS)
    await system.upstream.script(f"{name}-failed", HELLO, [{"status": 401}])

    async with system.start_workers(2, **_settings(receiver)) as [killed, _]:
        for model in (*answers, f"{name}-failed"):
            await sse.answer(system.chat, model, model=model)
        async with sse.ask(system.chat, f"{name}-stopped", model=f"{name}-stopped") as stream:
            await stream.until("text-delta")
            await sse.stop(system.chat, f"{name}-stopped")
            await stream.rest()
        await until(lambda: _received(receiver, 6), seconds=60)
        await system.forward_time()
        await until(lambda: _received(receiver, 8), seconds=60)
        await killed.kill()

        async def all_confirmed() -> bool:
            await system.forward_time()
            return not await system.pending()

        await until(all_confirmed, seconds=60)

    ends = {
        event["data"]["chatId"].removeprefix(f"{name}-"): event["type"]
        for message_id, event in receiver.received
        if message_id in receiver.confirmed
    }
    assert ends == {
        **{str(number): "run.succeeded" for number in range(4)},
        "failed": "run.failed",
        "stopped": "run.cancelled",
    }
    bodies = dict(receiver.received)
    assert all(event == bodies[message_id] for message_id, event in receiver.received)
    [first] = [e for e in bodies.values() if e["data"]["chatId"] == f"{name}-0"]
    assert first["data"]["message"]["parts"][-1]["text"] == "Hello world"


async def _received(receiver: WebhookReceiver, count: int) -> bool:
    return len(receiver.received) >= count
