"""Tools, limits and failures of custom agents, with real streams in Redis."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from arq.worker import RetryJob
from pydantic_ai import Agent, RunContext, UsageLimits
from pydantic_ai.messages import ModelMessage, SystemPromptPart, UserPromptPart
from pydantic_ai.models.function import DeltaToolCall
from pydantic_ai.usage import RunUsage
from redis.exceptions import ConnectionError as RedisConnectionError

from mamba.agents import AgentLimits, AgentRetries, AgentRun, ToolReturn, call_key
from shared.runs.run_details import usage_of
from shared.streams.event_stream import Append, Verdict, read_all
from shared.streams.events import Event, SourceUrl, StreamEvent, ToolOutputAvailable, decode
from shared.streams.run_state import RunState
from shared.streams.transcript import Transcript
from tests.support.fakes.runs import put_usage
from tests.support.run_chat_harness import (
    RATE_LIMIT,
    RUN,
    RunChatHarness,
    ScriptedModels,
    error_code,
    kinds,
    restart_with_log,
    start,
    text_of,
)
from tests.support.wait import until
from worker.agents.definition import AgentDefinition
from worker.agents.usage import UsageMeter
from worker.jobs.running_runs import Interrupt

pytestmark = pytest.mark.usefixtures("no_pauses")


SOURCES = [SourceUrl(source_id=f"s{n}", url=f"https://example.com/{n}") for n in range(3)]
LOOK = {0: DeltaToolCall("look", '{"up":"x"}', tool_call_id="call-1")}


def never(_: object) -> Agent[AgentRun, str]:
    raise AssertionError


PLAIN = AgentDefinition("chat", never)


def looking(keys: list[str]) -> Agent[AgentRun, str]:
    """An agent whose tool records its call keys and cites sources."""
    agent = Agent(deps_type=AgentRun)

    @agent.tool
    async def look(context: RunContext[AgentRun], up: str) -> ToolReturn[str]:
        keys.append(call_key(context))
        return ToolReturn(f"found {up}", metadata=SOURCES)

    return agent


def appends_of(harness: RunChatHarness, monkeypatch: pytest.MonkeyPatch) -> list[list[StreamEvent]]:
    """Record the events of each later append to the run's stream."""
    written: list[list[StreamEvent]] = []
    append = harness.stream.append

    async def recorded(*appends: Append) -> list[Verdict]:
        written.extend([decode(e) for e in a.entries if e != b"[DONE]"] for a in appends)
        return await append(*appends)

    monkeypatch.setattr(harness.stream, "append", recorded)
    return written


def outputs_and_sources(log: Sequence[Event]) -> list[Event]:
    """The tool outputs and the sources, in order."""
    return [event for event in log if isinstance(event, ToolOutputAvailable | SourceUrl)]


async def test_tool_output_and_its_sources_are_written_atomically(
    harness: RunChatHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys: list[str] = []
    harness.definition, harness.agent = PLAIN, looking(keys)
    written = appends_of(harness, monkeypatch)
    await start(harness.runner([LOOK], ["Hello"]))
    log = await harness.log()
    expected = [ToolOutputAvailable(tool_call_id="call-1", output="found x"), *SOURCES]
    assert outputs_and_sources(log) == expected
    assert [outputs_and_sources(events) for events in written if outputs_and_sources(events)] == [
        expected
    ]

    appends = list(written)
    for count in range(len(appends)):
        keys.clear()
        before = [event for events in appends[:count] for event in events]
        await restart_with_log(harness, before)
        responses = [["Hello"]] if "tool-input-available" in kinds(before) else [[LOOK], ["Hello"]]
        await harness.run(*responses)

        assert outputs_and_sources(await harness.log()) == expected, before
        assert len(keys) == (0 if outputs_and_sources(before) else 1), before


async def test_call_key_is_the_same_in_all_attempts(harness: RunChatHarness) -> None:
    keys: list[str] = []
    harness.definition, harness.agent = PLAIN, looking(keys)
    repeated = {0: DeltaToolCall("look", '{"up":"x"}', tool_call_id="call-2")}
    await harness.run([LOOK], [LOOK], ["Hello"])
    log = await harness.log()
    assert keys == [f"{RUN}:call-1:1", f"{RUN}:call-1:2"]

    interrupted_at = kinds(log).index("tool-input-delta")
    keys.clear()
    await restart_with_log(harness, log[: interrupted_at + 1])
    models = ScriptedModels([repeated], ["Hello"])
    await start(harness.runner(models=models))

    assert keys == [f"{RUN}:call-1:1"]
    ids = {p.tool_call_id for m in models.requests[1] for p in m.parts if "tool" in p.part_kind}  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownVariableType]
    assert ids == {"call-1"}


async def test_tool_starts_after_its_call_is_stored(harness: RunChatHarness) -> None:
    stored: list[list[str]] = []
    harness.definition, harness.agent = PLAIN, Agent(deps_type=AgentRun)

    @harness.agent.tool_plain
    async def look(up: str) -> str:
        entries = await read_all(harness.stream, RUN)
        stored.append(kinds([decode(entry.data) for entry in entries]))
        return up

    await harness.run([LOOK], ["Hello"])

    assert [events[-1] for events in stored] == ["tool-input-available"]


async def test_tool_does_not_start_while_redis_is_unavailable(
    harness: RunChatHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys: list[str] = []
    harness.definition, harness.agent = PLAIN, looking(keys)
    append, refused = harness.stream.append, asyncio.Event()

    async def unavailable(*appends: Append) -> list[Verdict]:
        if any(b"tool-input-available" in entry for a in appends for entry in a.entries):
            refused.set()
            raise RedisConnectionError("away")
        return await append(*appends)

    with monkeypatch.context() as patch:
        patch.setattr(harness.stream, "append", unavailable)
        task = asyncio.create_task(harness.run([LOOK], ["never"]))
        await refused.wait()
        harness.running.cancel(RUN, Interrupt.TAKEN_OVER)
        with pytest.raises(RetryJob):
            await task
        assert keys == []
        await harness.stream.take_over(RUN)
    await harness.run([LOOK], ["Hello"])

    assert keys == [f"{RUN}:call-1:1"]


async def test_next_model_request_waits_until_tool_results_are_stored(
    harness: RunChatHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness.definition, harness.agent = PLAIN, looking([])
    models, append, available = ScriptedModels([LOOK], ["Hello"]), harness.stream.append, False
    refused: list[int] = []

    async def unavailable(*appends: Append) -> list[Verdict]:
        results = any(b"tool-output-available" in entry for a in appends for entry in a.entries)
        if results and not available:
            refused.append(len(models.requests))
            raise RedisConnectionError("away")
        return await append(*appends)

    async def retried() -> bool:
        return len(refused) > 2

    monkeypatch.setattr(harness.stream, "append", unavailable)
    task = asyncio.create_task(start(harness.runner(models=models)))
    await until(retried)
    available = True
    await task

    assert set(refused) == {1}
    assert text_of(await harness.log()) == "Hello"


async def test_step_limit_covers_all_attempts(harness: RunChatHarness) -> None:
    harness.agent = looking([])
    harness.definition = replace(PLAIN, limits=AgentLimits(steps=3))

    await harness.run([LOOK], [LOOK], [RATE_LIMIT], [LOOK], ["too late"])

    assert error_code(await harness.log()) == "usage_limit"
    assert text_of(await harness.log()) == ""


async def test_token_limit_covers_all_attempts(harness: RunChatHarness) -> None:
    harness.agent = looking([])
    harness.definition = replace(PLAIN, limits=AgentLimits(tokens=250))
    await harness.run([LOOK], ["Hello"])
    assert (await harness.now()).state is RunState.SUCCEEDED
    assert len(await harness.runs.usages(RUN)) == 1
    log = await harness.log()
    between = kinds(log).index("finish-step")

    await restart_with_log(harness, log[:between])
    spent = '{"input_tokens": 200, "output_tokens": 100}'
    await put_usage(harness.redis, RUN, 1, spent)
    await harness.run(["Hello"])

    assert error_code(await harness.log()) == "usage_limit"


async def test_cost_limit_covers_all_attempts(harness: RunChatHarness) -> None:
    harness.definition = replace(PLAIN, limits=AgentLimits.model_validate({"cost": "0.10"}))
    await harness.stream.take_over(RUN)
    await put_usage(harness.redis, RUN, 1, '{"input_tokens": 1, "cost": "0.11"}')

    await harness.run(["never"])

    assert error_code(await harness.log()) == "usage_limit"


async def test_usage_without_limits_is_recorded_for_operators(harness: RunChatHarness) -> None:
    await harness.run(["Hello"])

    assert usage_of(await harness.runs.fields(RUN)) is not None


async def test_usage_meter_sums_all_attempts(harness: RunChatHarness) -> None:
    limits = UsageLimits(total_tokens_limit=1000)
    for attempt in (1, 2):
        stored: list[str] = []
        meter = UsageMeter(harness.runs, RUN, attempt, "m", stored.append)
        usage = await meter.begin(transcript := Transcript(), limits)
        usage.incr(RunUsage(input_tokens=10, output_tokens=5))
        meter.record(usage)
        meter.record(usage)
        await put_usage(harness.redis, RUN, attempt, stored[-1])

    later = UsageMeter(harness.runs, RUN, 3, "m", stored.append)
    total = await later.begin(transcript, limits)
    assert (total.input_tokens, total.output_tokens, total.requests) == (20, 10, 0)


async def test_agent_time_limit_ends_the_run(harness: RunChatHarness) -> None:
    harness.definition = replace(PLAIN, limits=AgentLimits(seconds=0.1))

    await harness.run(["Hello", asyncio.Event()])

    assert error_code(await harness.log()) == "run_timeout"


async def test_agent_retries_override_the_default(harness: RunChatHarness) -> None:
    harness.definition = replace(PLAIN, retries=AgentRetries(max_retries=0))
    models = ScriptedModels([RATE_LIMIT], ["never"])

    await start(harness.runner(models=models))

    assert error_code(await harness.log()) == "rate_limited"
    assert len(models.requests) == 1


FAIL = replace(PLAIN, retries=AgentRetries(after_output="fail"))


async def test_after_output_fail_ends_the_run_after_output(harness: RunChatHarness) -> None:
    harness.definition = FAIL

    await harness.run([RATE_LIMIT], ["Hello", RATE_LIMIT], ["never"])

    log = await harness.log()
    assert text_of(log) == "Hello"
    assert error_code(log) == "rate_limited"


async def test_agent_with_after_output_fail_is_not_resumed(harness: RunChatHarness) -> None:
    await harness.run(["Hello"])
    log = await harness.log()
    harness.definition = FAIL
    await restart_with_log(harness, log[:4])

    await harness.run(["never"])

    log = await harness.log()
    assert error_code(log) == "interrupted"
    assert kinds(log)[-4:] == ["text-end", "finish-step", "data-error", "error"]


async def test_agent_without_display_tools_ignores_requested_tools(harness: RunChatHarness) -> None:
    harness.definition = PLAIN
    card = {0: DeltaToolCall("generateCard", '{"title":"x"}', tool_call_id="c")}

    await start(harness.runner([card], ["Hello"]), tools=["generateCard"])

    assert "tool-output-available" not in kinds(await harness.log())
    assert text_of(await harness.log()) == "Hello"


async def test_agent_model_overrides_requested_model(harness: RunChatHarness) -> None:
    requested: list[str] = []

    class Named(ScriptedModels):
        def get(self, name: str) -> Any:
            requested.append(name)
            return super().get(name)

    harness.definition = replace(PLAIN, model="own")
    await start(harness.runner(models=Named(["Hello"])))

    assert requested == ["own"]


def texts_of(request: Sequence[ModelMessage]) -> list[tuple[str, str]]:
    """The kind and the text of each system and user part."""
    return [
        (part.part_kind, str(part.content))
        for message in request
        for part in message.parts
        if isinstance(part, SystemPromptPart | UserPromptPart)
    ]


async def test_system_prompts_of_an_agent_reach_the_model_first(harness: RunChatHarness) -> None:
    agent = Agent(deps_type=AgentRun, system_prompt="Static.")

    @agent.system_prompt
    async def dynamic(context: RunContext[AgentRun]) -> str:
        return f"Chat {context.deps.chat_id}."

    _ = dynamic
    harness.definition, harness.agent = PLAIN, agent
    models = ScriptedModels(["Hello"])

    await start(harness.runner(models=models))

    system = [text for kind, text in texts_of(models.requests[0]) if kind == "system-prompt"]
    assert system == ["Static.", "Chat chat."]
    assert texts_of(models.requests[0])[0] == ("system-prompt", "Static.")


async def test_dynamic_system_prompt_is_evaluated_once(harness: RunChatHarness) -> None:
    agent, evaluated = Agent(deps_type=AgentRun), list[str]()

    @agent.system_prompt(dynamic=True)
    async def dynamic(context: RunContext[AgentRun]) -> str:
        evaluated.append(context.deps.chat_id)
        return f"Evaluation {len(evaluated)}."

    _ = dynamic
    harness.definition, harness.agent = PLAIN, agent
    models = ScriptedModels(["Hello"])

    await start(harness.runner(models=models))

    assert evaluated == ["chat"]
    assert texts_of(models.requests[0])[0] == ("system-prompt", "Evaluation 1.")
