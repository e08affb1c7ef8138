from collections.abc import AsyncGenerator

import pytest

from shared.redis.client import Redis
from shared.runs.store import RunStore
from shared.streams.event_stream import RedisEventStream
from tests.support.processes import Valkey
from tests.support.run_chat_harness import RunChatHarness
from tests.support.worker_pool import WorkerPool, open_worker_pool
from worker.jobs import retry_policy, run_chat
from worker.output.writer import GroupCommitter


@pytest.fixture
async def harness(redis: Redis) -> AsyncGenerator[RunChatHarness]:
    stream = RedisEventStream(redis, live_ttl=600, retention=300)
    async with GroupCommitter(stream) as committer:
        harness = RunChatHarness(redis, stream, committer, RunStore(redis, live_ttl=600))
        await harness.accept()
        yield harness


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry_policy, "_BASE_SECONDS", 0.0)
    monkeypatch.setattr(run_chat, "_ERROR_PAUSE_SECONDS", 0.0)


@pytest.fixture
async def pool(valkey: Valkey, redis: Redis) -> AsyncGenerator[WorkerPool]:
    async with open_worker_pool(valkey.url, redis) as pool:
        yield pool
