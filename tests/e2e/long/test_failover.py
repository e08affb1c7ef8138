"""The Redis primary crashes or hangs during a run, and its replica takes over."""

import signal
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.support.processes import Api, Worker, start_all
from tests.support.redis_sentinel import SentinelPair, open_sentinel_pair
from tests.support.sse_client import SseClient, check_whole, text
from tests.support.system.running_system import kill_process
from tests.support.upstream.client import Upstream
from tests.support.wait import until

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(loop_scope="session")
async def pair(tmp_path: Path) -> AsyncGenerator[SentinelPair]:
    async with open_sentinel_pair(tmp_path) as pair:
        yield pair


@pytest.mark.parametrize("failure", [signal.SIGKILL, signal.SIGSTOP], ids=["crashes", "hangs"])
async def test_answer_survives_a_failover(
    pair: SentinelPair, upstream: Upstream, sse: SseClient, name: str, failure: signal.Signals
) -> None:
    api = Api(pair.url, {"MAMBA_SERVER__HEARTBEAT_SECONDS": "0.2"})
    worker = Worker(pair.url, upstream.base_url)
    chat = f"{api.url}/chat"
    await upstream.script(name, [[{"text": ["Hel"]}, {"wait": True}, {"text": ["lo", " world"]}]])
    try:
        await start_all(api, worker)
        async with sse.ask(chat, name, model=name) as stream:
            events = await stream.until("text-delta")
            await pair.wait_for_sync()
            pair.primary.send(failure)
            await upstream.release(name)
            events += await stream.rest()

        check_whole(events)
        assert text(events) == "Hello world"
        assert await sse.replay(chat, name) == events

        later = f"{name}-later"
        await upstream.script(later, [[{"text": ["Well"]}]])
        await until(lambda: _is_ready(sse, api), seconds=60)
        assert text(await sse.answer(chat, later, model=later)) == "Well"
        assert worker.child.poll() is None
        assert '"redis.min_replicas_unset"' in worker.output
        assert '"redis.primary_changed"' in worker.output
    finally:
        await kill_process(api)
        await kill_process(worker)


async def _is_ready(sse: SseClient, api: Api) -> bool:
    return await sse.status(f"{api.url}/health/ready") == 200
