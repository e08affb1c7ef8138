"""A waiting message sees the whole earlier answer, however the clock of Redis jumps meanwhile.

`python -m tests.chaos` makes the clocks of a whole deployment jump.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

import pytest

from shared.redis.client import Redis, redis_time_ms
from tests.chaos.clock import FakeClock
from tests.support.processes import Valkey, start_all, stop_all
from tests.support.system.busy_chat import BusyChat, question, version
from tests.support.wait import until

HOUR = 3600


@dataclass
class JumpingRedis:
    redis: Redis
    clock: FakeClock

    async def jump(self, seconds: int) -> None:
        """Set the clock forward, or back, and wait until Valkey notices it."""
        before = await redis_time_ms(self.redis) / 1000
        self.clock.set(self.clock.offset + seconds)

        async def has_jumped() -> bool:
            return abs(await redis_time_ms(self.redis) / 1000 - before - seconds) < HOUR / 2

        await until(has_jumped)


@pytest.fixture
async def jumping(tmp_path: Path) -> AsyncGenerator[JumpingRedis]:
    clock = FakeClock(tmp_path / "clock")
    valkey = Valkey(env=clock.env)
    await start_all(valkey)
    try:
        async with aclosing(valkey.client()) as redis:
            yield JumpingRedis(redis, clock)
    finally:
        await stop_all(valkey)


@pytest.mark.parametrize("seconds", [HOUR, -HOUR], ids=["forward", "back"])
@pytest.mark.parametrize("when", ["before the admission", "after the admission"])
async def test_waiting_message_sees_the_whole_answer_after_a_jump(
    jumping: JumpingRedis, seconds: int, when: str
) -> None:
    chat = BusyChat(jumping.redis)
    await chat.send(1)
    await chat.begin(1)
    if when == "before the admission":
        await jumping.jump(seconds)
    await chat.send(2)
    if when == "after the admission":
        await jumping.jump(seconds)
    await chat.end(1)
    await jumping.jump(-seconds)

    history = await chat.history(2, question(1), version(1, "Hel"), question(2))

    assert history == ["Question 1", "Hello world", "Question 2"]
