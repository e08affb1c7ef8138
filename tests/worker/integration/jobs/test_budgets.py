"""Runs whose owner has a budget."""

import asyncio
import json
from typing import Any

import pytest
from arq.worker import RetryJob
from pydantic_ai import Agent, Tool
from pydantic_ai.models import Model
from pydantic_ai.models.function import DeltaToolCall
from pydantic_ai.models.test import TestModel
from pydantic_ai.usage import RunUsage
from redis.exceptions import TimeoutError as RedisTimeoutError

from shared.chat.titles import TitleStore
from shared.limits.budgets import Amount
from shared.limits.usage_ledger import Account, Reservation, UsageLedger
from shared.queue.job import GenerateTitle
from shared.redis import keys
from shared.runs.finalize import RunEnding
from shared.settings import BudgetSettings, LimitSettings, RunSettings, Settings, TitleSettings
from shared.settings.live_settings import LiveSettings
from tests.support.fakes.runs import put_usage
from tests.support.run_chat_harness import (
    RATE_LIMIT,
    RUN,
    RunChatHarness,
    ScriptedModels,
    error_code,
    start,
    text_of,
)
from tests.support.upstream.client import Upstream
from tests.support.wait import until
from worker.agents.budget import Budgets
from worker.agents.usage import UsageMeter
from worker.jobs.generate_title import TitleRunner
from worker.jobs.running_runs import Interrupt, RunningRuns
from worker.models.registry import ModelRegistry

pytestmark = pytest.mark.usefixtures("no_pauses")

OWNER = "me"


class TitleModels(ScriptedModels):
    """Returns the same title to every request."""

    @property
    def demo(self) -> bool:
        return False

    def get(self, name: str) -> Model:  # noqa: ARG002
        return TestModel(custom_output_text="A title")


class SlowLedger(UsageLedger):
    """Reserves at once, but the reply does not arrive."""

    reserved = False

    async def start_request(self, *args: Any, **parameters: Any) -> Reservation:
        await super().start_request(*args, **parameters)
        self.reserved = True
        await asyncio.Event().wait()
        raise AssertionError


def budget(tokens: int) -> LimitSettings:
    return LimitSettings(
        budgets={"default": BudgetSettings.model_validate({"tokens": {"day": tokens}})}
    )


async def used(harness: RunChatHarness) -> Amount:
    hour, day, month = (await harness.ledger.read(OWNER)).report.periods
    assert hour.used == day.used == month.used
    return day.used


async def reported(harness: RunChatHarness) -> int:
    return (await harness.metadata())["usage"]["totalTokens"]


async def test_counted_usage_is_what_the_run_reports(harness: RunChatHarness) -> None:
    harness.limits = budget(10_000)
    harness.agent = Agent(tools=[Tool(lambda: "x", name="count")])
    call = {0: DeltaToolCall("count", "{}", tool_call_id="c1")}

    await start(harness.runner(["Let ", call], ["it be"]), owner=OWNER)

    assert (await used(harness)).tokens == await reported(harness) > 0


async def test_nothing_is_counted_without_a_budget(harness: RunChatHarness) -> None:
    await start(harness.runner(["Hello"]), owner=OWNER)

    assert await harness.redis.execute_command("KEYS", "mamba:*usage*") == []
    assert await used(harness) == Amount()


async def test_run_fails_if_the_budget_is_used_up(harness: RunChatHarness) -> None:
    harness.limits = budget(100)
    await harness.ledger.count(Account(OWNER, None, "earlier", 1), Amount(100))

    await start(harness.runner(["Hello"]), owner=OWNER)

    log = await harness.log()
    assert error_code(log) == "budget_exceeded"
    assert "Your budget of 100 tokens per day is used up. It resets at " in str(log[-1])
    assert await used(harness) == Amount(100)


async def test_long_answer_ends_when_the_budget_is_used_up(harness: RunChatHarness) -> None:
    harness.limits = budget(2000)
    words = ["word " * 20] * 1000  # 25,000 tokens by the estimate

    await start(harness.runner(words), owner=OWNER)

    log = await harness.log()
    assert error_code(log) == "budget_exceeded"
    assert 1900 * 4 <= len(text_of(log)) <= 2200 * 4
    tokens = (await used(harness)).tokens
    assert 2000 <= tokens <= 2200
    assert tokens == await reported(harness)


async def test_stopped_answer_counts_its_estimate(harness: RunChatHarness) -> None:
    harness.limits = budget(10_000)
    text = "word " * 100
    task = asyncio.create_task(start(harness.runner([text, asyncio.Event()]), owner=OWNER))
    await harness.wait_for_text(text)
    harness.running.cancel(RUN, Interrupt.STOP)
    await task

    tokens = (await used(harness)).tokens
    assert tokens == await reported(harness)
    assert 125 <= tokens <= 130


async def test_failed_attempts_count(harness: RunChatHarness) -> None:
    harness.limits = budget(10_000)

    await start(harness.runner(["word " * 100, RATE_LIMIT], ["the end"]), owner=OWNER)

    tokens = (await used(harness)).tokens
    assert tokens == await reported(harness) > 125


@pytest.mark.parametrize("counted", [0, 20, 90])
async def test_attempt_corrects_what_a_killed_one_has_counted(
    harness: RunChatHarness, counted: int
) -> None:
    harness.limits = budget(10_000)
    await harness.ledger.count(Account(OWNER, None, RUN, 1), Amount(counted))
    takeover = await harness.stream.take_over(RUN)
    stored = json.dumps({"input_tokens": 30, "output_tokens": 12, "model": None})
    await put_usage(harness.redis, RUN, takeover.attempt, stored)

    await start(harness.runner(["Hello"]), owner=OWNER)

    tokens = (await used(harness)).tokens
    assert tokens == await reported(harness) > 42


@pytest.mark.parametrize("max_crashes", [0, 5])
async def test_end_without_a_request_frees_the_reservation(
    harness: RunChatHarness, max_crashes: int
) -> None:
    harness.limits = budget(1000)
    harness.settings = RunSettings(max_crashes=max_crashes)
    killed, day = Account(OWNER, None, RUN, 1), harness.limits.budgets["default"]
    await harness.ledger.count(killed, Amount(20))
    await harness.ledger.start_request(killed, Amount(20), Amount(1000), Amount(), day, seconds=60)
    takeover = await harness.stream.take_over(RUN)
    stored = json.dumps({"input_tokens": 30, "output_tokens": 12, "model": None})
    await put_usage(harness.redis, RUN, takeover.attempt, stored)
    if max_crashes:
        await harness.runs.request_stop(RUN)

    await start(harness.runner(["Hello"]), owner=OWNER)

    assert (await harness.now()).state == ("cancelled" if max_crashes else "failed")
    assert not await harness.redis.execute_command("EXISTS", keys.reserved_usage(OWNER))
    assert (await used(harness)).tokens == await reported(harness) == 42


async def test_usage_that_could_not_be_counted_counts_at_the_end(harness: RunChatHarness) -> None:
    harness.limits = budget(10_000)
    harness.agent = Agent(name="chat")
    counted, written = keys.counted_usage(RUN), asyncio.Event()

    async def repair(text: str) -> str:
        await harness.redis.execute_command("RENAME", "moved", counted)
        return text

    harness.agent.output_validator(repair)
    task = asyncio.create_task(start(harness.runner(["Hello", written, "!"]), owner=OWNER))
    await harness.wait_for_text("Hello")
    await harness.redis.execute_command("RENAME", counted, "moved")
    await harness.redis.execute_command("SET", counted, "of another type")
    written.set()
    await task

    assert text_of(await harness.log()) == "Hello!"
    assert (await used(harness)).tokens == await reported(harness)
    assert not await harness.redis.execute_command("EXISTS", keys.reserved_usage(OWNER))


def fail_counts(monkeypatch: pytest.MonkeyPatch, number: int) -> list[RedisTimeoutError]:
    """Let the next calls of the ledger's `count` fail, and return the failures that are left."""
    count, failures = UsageLedger.count, [RedisTimeoutError("Redis does not respond.")] * number

    async def count_when_back(self: UsageLedger, *args: Any, **parameters: Any) -> None:
        if failures:
            raise failures.pop()
        await count(self, *args, **parameters)

    monkeypatch.setattr(UsageLedger, "count", count_when_back)
    return failures


async def test_killed_attempt_counts_at_the_end_after_a_failed_try(
    harness: RunChatHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness.limits = budget(10_000)
    takeover = await harness.stream.take_over(RUN)
    stored = json.dumps({"input_tokens": 30, "output_tokens": 12, "model": None})
    await put_usage(harness.redis, RUN, takeover.attempt, stored)
    failures = fail_counts(monkeypatch, 1)

    await start(harness.runner(["Hello"]), owner=OWNER)

    assert not failures
    assert (await used(harness)).tokens == await reported(harness) > 42


async def test_usage_counts_at_the_end_although_redis_hangs(
    harness: RunChatHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness.limits = budget(10_000)
    failures = fail_counts(monkeypatch, 3)

    await start(harness.runner(["Hello"]), owner=OWNER)

    assert not failures
    assert (await used(harness)).tokens == await reported(harness) > 0
    assert not await harness.redis.execute_command("EXISTS", keys.reserved_usage(OWNER))


async def test_run_that_was_ended_elsewhere_frees_its_reservation(harness: RunChatHarness) -> None:
    harness.limits = budget(10_000)
    text, ended = "word " * 100, asyncio.Event()
    runner = harness.runner([text, ended, " end", asyncio.Event()])
    task = asyncio.create_task(start(runner, owner=OWNER))
    await harness.wait_for_text(text)
    await harness.finalizer.end(await harness.now(), RunEnding.cancelled())

    ended.set()
    with pytest.raises(RetryJob):
        await task

    assert not await harness.redis.execute_command("EXISTS", keys.reserved_usage(OWNER))
    assert (await used(harness)).tokens >= 125


async def test_attempt_that_lost_its_run_reserves_nothing(harness: RunChatHarness) -> None:
    """A suspended worker continues after another one has taken over its run."""
    harness.limits = budget(10_000)
    later, day = Account(OWNER, None, RUN, 2), harness.limits.budgets["default"]
    resumed, text = asyncio.Event(), "word " * 100
    task = asyncio.create_task(start(harness.runner([text, resumed, text]), owner=OWNER))
    await harness.wait_for_text(text)
    await harness.stream.take_over(RUN)
    await harness.ledger.count(later, Amount(30), earlier_attempt=1)
    await harness.ledger.start_request(later, Amount(), Amount(700), Amount(700), day, seconds=60)

    resumed.set()
    with pytest.raises(RetryJob):
        await task

    assert await used(harness) == Amount(30)
    reserved = await harness.redis.execute_command("HGET", keys.reserved_usage(OWNER), RUN)
    assert reserved == b"700 0"
    assert (await harness.stream.take_over(RUN)).crashes == 1


async def test_attempt_that_lost_its_run_requests_nothing(
    harness: RunChatHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness.limits = budget(10_000)
    models, suspended, resumed = ScriptedModels(["Hello"]), asyncio.Event(), asyncio.Event()
    begin = UsageMeter.begin

    async def begin_slowly(self: UsageMeter, *args: Any) -> RunUsage:
        suspended.set()
        await resumed.wait()
        return await begin(self, *args)

    monkeypatch.setattr(UsageMeter, "begin", begin_slowly)
    task = asyncio.create_task(start(harness.runner(models=models), owner=OWNER))
    await suspended.wait()
    await harness.stream.take_over(RUN)
    await harness.ledger.count(Account(OWNER, None, RUN, 2), Amount())

    resumed.set()
    with pytest.raises(RetryJob):
        await task

    assert not models.requests


async def test_title_that_ends_during_its_reservation_frees_it(harness: RunChatHarness) -> None:
    limits = LimitSettings.model_validate({"budgets": {OWNER: {"tokens": {"day": 2000}}}})
    live = LiveSettings(Settings(limits=limits, title=TitleSettings(timeout_seconds=0.5)))
    store, running = TitleStore(harness.redis), RunningRuns()
    ledger = SlowLedger(harness.redis, live_ttl=600)
    runner = TitleRunner(store, TitleModels(), running, Budgets(ledger, live), live)
    job = GenerateTitle(
        title_id="t1", request_id="r", owner=OWNER, excerpt="Hi", model="m", max_length=50
    )

    await runner({"job_id": "t1"}, job.model_dump(mode="json"))

    assert ledger.reserved
    assert not await harness.redis.execute_command("EXISTS", keys.reserved_usage(OWNER))


async def test_request_waits_for_the_reservations_of_others(harness: RunChatHarness) -> None:
    harness.limits = budget(1000)
    other, day = Account(OWNER, None, "other", 1), harness.limits.budgets["default"]
    await harness.ledger.start_request(other, Amount(), Amount(1000), Amount(), day, seconds=60)

    task = asyncio.create_task(start(harness.runner(["Hello"]), owner=OWNER))

    async def has_begun() -> bool:
        return (await harness.now()).attempts == 1

    await until(has_begun)
    assert not await harness.text_so_far()
    await harness.ledger.count(other, Amount(10))
    await task
    assert text_of(await harness.log()) == "Hello"


async def test_budget_of_one_owner_does_not_limit_others(harness: RunChatHarness) -> None:
    none, free = (BudgetSettings.model_validate({"tokens": {"day": n}}) for n in (0, None))
    harness.limits = LimitSettings(budgets={"default": none, OWNER: free})

    await start(harness.runner(["Hello"]), owner=OWNER)

    assert text_of(await harness.log()) == "Hello"
    assert (await used(harness)).tokens > 0


async def test_cost_budget_uses_configured_prices(
    harness: RunChatHarness, upstream: Upstream
) -> None:
    await upstream.script("priced", [[{"text": ["word "] * 2000}]])
    price = {"priced": {"input": 0, "output": 1000}}  # a dollar for 1,000 tokens
    settings = Settings.model_validate(
        {
            "openai": {"api_key": "key", "base_url": upstream.base_url},
            "models": {"prices": price},
        }
    )
    models = ModelRegistry(LiveSettings(settings))
    harness.limits = LimitSettings.model_validate({"budgets": {OWNER: {"cost": {"month": 5}}}})

    await start(harness.runner(models=models), owner=OWNER, model="priced")
    await models.close()

    assert text_of(await harness.log()) == "word " * 2000
    assert (await harness.metadata())["cost"] == {"amount": 2, "currency": "USD"}
    assert await used(harness) == Amount(2001, 2_000_000_000)


async def test_long_answer_ends_when_its_cost_is_used_up(
    harness: RunChatHarness, upstream: Upstream
) -> None:
    # The model stops at $2.20, because a busy worker reads what has arrived meanwhile at once.
    text: list[dict[str, Any]] = [{"text": ["word "] * 20}, {"sleep": 0.001}] * 110
    await upstream.script("priced", [[*text, {"wait": True}, {"text": ["end"]}]])
    settings = Settings.model_validate(
        {
            "openai": {"api_key": "key", "base_url": upstream.base_url},
            "models": {"prices": {"*": {"input": 0, "output": 1000}}},
        }
    )
    models = ModelRegistry(LiveSettings(settings))
    harness.limits = LimitSettings.model_validate({"budgets": {OWNER: {"cost": {"month": 2}}}})

    await start(harness.runner(models=models), owner=OWNER, model="priced")
    await models.close()

    assert error_code(await harness.log()) == "budget_exceeded"
    assert 2.0 <= (await used(harness)).dollars <= 2.2


async def test_title_counts_and_is_refused(harness: RunChatHarness) -> None:
    limits = LimitSettings.model_validate({"budgets": {OWNER: {"tokens": {"day": 20}}}})
    live = LiveSettings(Settings(limits=limits))
    store, running = TitleStore(harness.redis), RunningRuns()
    runner = TitleRunner(store, TitleModels(), running, Budgets(harness.ledger, live), live)

    for title_id in ("t1", "t2"):
        job = GenerateTitle(
            title_id=title_id, request_id="r", owner=OWNER, excerpt="Hi", model="m", max_length=50
        )
        await runner({"job_id": title_id}, job.model_dump(mode="json"))

    first, second = await store.read("t1"), await store.read("t2")
    assert first is not None
    assert second is not None
    assert (first.title, second.title) == ("A title", None)
    assert (await used(harness)).tokens > 20
