"""What the stream reports about an answer: the model, usage, and a digest over all attempts."""

import asyncio
from decimal import Decimal

import pytest
from pydantic import SecretStr
from pydantic_ai import Agent, Tool
from pydantic_ai.models.function import DeltaToolCall
from pydantic_ai.usage import RunUsage

from shared.settings import ModelSettings, OpenAISettings, ProviderSettings, Settings
from shared.settings.live_settings import LiveSettings
from shared.streams.answer_digest import AnswerDigest
from shared.streams.event_stream import read_all
from shared.streams.events import Abort, Error, Finish, MessageMetadata, Start, decode
from tests.support.fakes.runs import put_usage
from tests.support.run_chat_harness import RATE_LIMIT, REJECTED, RUN, RunChatHarness, start
from tests.support.upstream.client import Upstream
from worker.agents import usage
from worker.agents.usage import UsageMeter
from worker.jobs.running_runs import Interrupt
from worker.models.registry import ModelRegistry

pytestmark = pytest.mark.usefixtures("no_pauses")


async def digest_of_the_stream(harness: RunChatHarness) -> str | None:
    digest = AnswerDigest()
    digest.add(entry.data for entry in await read_all(harness.stream, RUN))
    return digest.value()


async def test_finish_carries_the_end_of_the_answer(harness: RunChatHarness) -> None:
    await harness.run(["Hello ", "there"])

    entries = await read_all(harness.stream, RUN)
    metadata = await harness.metadata()
    run = await harness.now()
    assert isinstance(decode(entries[-2].data), Finish)
    assert metadata["events"] == entries[-2].offset
    assert (metadata["runId"], metadata["stopped"]) == (RUN, False)
    assert metadata["createdAt"].endswith(f"{run.admitted_at % 1000:03d}Z")
    assert metadata["usage"]["totalTokens"] > 0
    assert metadata["digest"] == await digest_of_the_stream(harness)
    assert "cost" not in metadata


async def test_digest_covers_all_attempts(harness: RunChatHarness) -> None:
    harness.agent = Agent(tools=[Tool(lambda: {"n": 1.0}, name="count")])
    call = {0: DeltaToolCall("count", "{}", tool_call_id="c1")}

    await harness.run(["Let ", call], ["a", RATE_LIMIT], ["b", RATE_LIMIT], ["c"])

    metadata = await harness.metadata()
    assert metadata["digest"] == await digest_of_the_stream(harness)
    assert metadata["events"] == (await read_all(harness.stream, RUN))[-2].offset


async def test_failed_answer_has_its_metadata_before_the_error(harness: RunChatHarness) -> None:
    await harness.run(["Hello", REJECTED])

    *_, metadata, error, _ = [
        None if entry.is_last else decode(entry.data)
        for entry in await read_all(harness.stream, RUN)
    ]
    assert isinstance(metadata, MessageMetadata)
    assert isinstance(error, Error)
    fields = await harness.metadata()
    assert (fields["stopped"], fields["digest"]) == (False, await digest_of_the_stream(harness))


async def test_stopped_answer_is_marked(harness: RunChatHarness) -> None:
    task = asyncio.create_task(harness.run(["Hello", asyncio.Event()]))
    await harness.wait_for_text("Hello")
    await harness.runs.request_stop(RUN)
    harness.running.cancel(RUN, Interrupt.STOP)
    await task

    entries = await read_all(harness.stream, RUN)
    fields = await harness.metadata()
    assert isinstance(decode(entries[-2].data), Abort)
    assert (fields["stopped"], fields["events"]) == (True, entries[-2].offset)
    assert fields["digest"] == await digest_of_the_stream(harness)


async def test_continued_message_clears_the_end_of_the_earlier_run(harness: RunChatHarness) -> None:
    await start(harness.runner(["Hello"]), continues=("earlier",))

    [first, *_] = await read_all(harness.stream, RUN)
    begun = decode(first.data)
    assert isinstance(begun, Start)
    assert begun.message_metadata is not None
    assert begun.message_metadata["mamba"]["digest"] is None
    assert (await harness.metadata())["digest"] == await digest_of_the_stream(harness)


async def test_model_is_the_fallback_that_answered(
    harness: RunChatHarness, upstream: Upstream
) -> None:
    await upstream.script("broken", [[]], [{"status": 500}])
    await upstream.script("backup", [[{"text": ["Hello"]}]])
    settings = Settings(
        openai=OpenAISettings(api_key=SecretStr("key"), base_url=upstream.base_url),
        providers={"other": ProviderSettings(base_url=upstream.base_url)},
        models=ModelSettings(fallbacks={"broken": ("other/backup",)}),
    )
    models = ModelRegistry(LiveSettings(settings))

    await start(harness.runner(models=models), model="broken")

    assert (await harness.metadata())["model"] == "other/backup"
    await models.close()


async def test_model_has_the_requested_name(harness: RunChatHarness, upstream: Upstream) -> None:
    await upstream.script("direct", [[{"text": ["Hello"]}]])
    settings = Settings(openai=OpenAISettings(api_key=SecretStr("key"), base_url=upstream.base_url))
    models = ModelRegistry(LiveSettings(settings))

    await start(harness.runner(models=models), model="direct")

    assert (await harness.metadata())["model"] == "direct"
    await models.close()


async def test_usage_covers_all_attempts(harness: RunChatHarness) -> None:
    for attempt in (1, 2):
        stored: list[str] = []
        meter = UsageMeter(harness.runs, RUN, attempt, "m", stored.append)
        meter.record(RunUsage(input_tokens=10, cost=Decimal("0.25")), f"model-{attempt}")
        await put_usage(harness.redis, RUN, attempt, stored[-1])

    later = await UsageMeter(harness.runs, RUN, 3, "m", stored.append).close()

    assert (later.usage.input_tokens, later.usage.cost, later.model) == (
        20,
        Decimal("0.50"),
        "model-2",
    )


async def test_known_cost_is_reported(
    harness: RunChatHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = UsageMeter.record

    def record_with_cost(self: UsageMeter, used: RunUsage, answered_by: str) -> None:
        used.cost = Decimal("0.00125")
        record(self, used, answered_by)

    monkeypatch.setattr(usage.UsageMeter, "record", record_with_cost)

    await harness.run(["Hello"])

    assert (await harness.metadata())["cost"] == {"amount": 0.00125, "currency": "USD"}
