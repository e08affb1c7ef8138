"""Refused continuations cost reading streams, so they count against the owner's rate limit."""

import pytest

from api.chat.continuation import ContinuationResolver
from api.chat.request import ChatRequest
from shared.errors import RateLimited, ToolCallNotPending
from shared.limits.rate_limit import RunRate
from shared.redis import keys
from shared.redis.client import Redis
from shared.runs.chat_index import ChatIndex
from shared.runs.store import RunStore
from shared.settings import LimitSettings, Settings
from shared.settings.live_settings import LiveSettings
from shared.streams.event_stream import Append, Closure, RedisEventStream
from shared.streams.events import DONE, FinishStep, StartStep
from shared.streams.run_state import RunState
from tests.support.fakes.chat_requests import STEP, continued, read_body, tool_part
from tests.support.fakes.runs import new_run

OWNER = "owner-1"


async def resolver(redis: Redis, *, per_minute: int = 0) -> ContinuationResolver:
    """Return the resolver of a chat whose only run has succeeded without pending calls."""
    runs = RunStore(redis, live_ttl=600)
    stream = RedisEventStream(redis, live_ttl=600, retention=60)
    run = new_run("run", owner=OWNER)
    await runs.create(run)
    await stream.take_over(run.id)
    entries = [StartStep().encode(), FinishStep().encode(), DONE]
    await stream.append(Append(run.id, 1, 1, entries, Closure(RunState.SUCCEEDED)))
    await redis.execute_command("SET", keys.chat(OWNER, run.chat_id), run.id, "PX", 60_000)
    limits = LimitSettings(requests_per_minute=per_minute, burst=2)
    live = LiveSettings(Settings(limits=limits))
    return ContinuationResolver(runs, ChatIndex(redis), stream, RunRate(redis, live))


async def forged_approval() -> ChatRequest:
    call = tool_part("c1", "approval-responded", approval={"id": "a", "approved": True})
    body = {"id": "chat-1", **continued(STEP, call)}
    return await read_body(body)


async def test_refused_continuation_counts_against_the_rate(redis: Redis) -> None:
    limited = await resolver(redis, per_minute=1)
    chat = await forged_approval()

    for _ in range(2):
        with pytest.raises(ToolCallNotPending):
            await limited.resolve(OWNER, chat)
    with pytest.raises(RateLimited):
        await limited.resolve(OWNER, chat)


async def test_refused_continuation_is_unlimited_by_default(redis: Redis) -> None:
    unlimited = await resolver(redis)
    chat = await forged_approval()

    for _ in range(12):
        with pytest.raises(ToolCallNotPending):
            await unlimited.resolve(OWNER, chat)
