"""Reasoning and extensions of tool calls return to the model, in the form in which they came."""

from typing import Any, NamedTuple

import pytest
from pydantic_ai import Tool

from shared.chat.messages import Message, ReasoningPart, StepStart, TextPart, ToolPart
from shared.provider_metadata import mamba_metadata
from shared.streams.transcript import (
    Transcript,
    TranscriptReasoning,
    TranscriptText,
    TranscriptToolCall,
)
from tests.support.run_chat_harness import RunChatHarness, kinds, restart_with_log, start
from tests.support.upstream.client import Upstream, sse_body
from tests.support.upstream.quirks import Quirk
from tests.support.upstream.rules import Rule
from worker.agents import engine
from worker.models.registry import ModelRegistry

pytestmark = pytest.mark.usefixtures("no_pauses")

TOOL = "generateCard"
STEP: list[dict[str, Any]] = [
    {"reasoning": ["I ", "think"]},
    {"text": ["Let me see"]},
    {"tool": {"id": "call-1", "name": TOOL, "arguments": '{"title":"one"}', "pieces": 2}},
]
ANSWER: list[dict[str, Any]] = [{"reasoning": ["So"]}, {"text": ["There ", "you are."]}]


class Format(NamedTuple):
    quirks: list[Quirk]
    rule: Rule
    #: A part of the assistant's message.
    sent: dict[str, Any]


FORMATS = {
    "reasoning_content": Format(
        [], "reasoning_content-with-calls", {"reasoning_content": "I think"}
    ),
    "reasoning": Format(["reasoning-field"], "reasoning-with-calls", {"reasoning": "I think"}),
    "reasoning_details": Format(
        ["reasoning-details"],
        "reasoning_details-with-calls",
        {
            "reasoning_details": [
                {
                    "type": "reasoning.text",
                    "text": "I think",
                    "index": 0,
                    "signature": "signed",
                }
            ]
        },
    ),
    "tags": Format(
        ["think-tags"],
        "think-tags-with-calls",
        {"content": "<think>\nI think\n</think>\n\nLet me see"},
    ),
    "extensions": Format(["call-extensions"], "extensions-with-calls", {}),
}

formats = pytest.mark.parametrize("form", FORMATS.values(), ids=FORMATS)


@pytest.fixture(autouse=True)
def card_tool(monkeypatch: pytest.MonkeyPatch) -> None:
    async def make(title: str) -> dict[str, str]:
        return {"title": title}

    def tools(_: object) -> list[Tool]:
        return [Tool(make, name=TOOL)]

    monkeypatch.setattr(engine, "display_tools", tools)


async def with_calls(upstream: Upstream) -> list[dict[str, Any]]:
    """Return the messages with tool calls in the newest request."""
    messages = (await upstream.requests("m"))[-1]["body"]["messages"]
    return [message for message in messages if message.get("tool_calls")]


def client_message(transcript: Transcript) -> Message:
    """Return the answer as a client sends it with its next question."""
    parts: list[Any] = []
    for part in [part for step in transcript.steps for part in (None, *step.parts)]:
        match part:
            case None:
                parts.append(StepStart())
            case TranscriptReasoning():
                parts.append(ReasoningPart(text=part.text, metadata=part.metadata))
            case TranscriptText():
                parts.append(TextPart(text=part.text, metadata=part.metadata))
            case TranscriptToolCall():
                parts.append(
                    ToolPart(
                        tool_call_id=part.id,
                        tool_name=part.name,
                        input=part.input,
                        output=part.output,
                        metadata=part.metadata,
                    )
                )
    return Message(role="assistant", parts=tuple(parts))


def question(text: str) -> Message:
    return Message(role="user", parts=(TextPart(text=text),))


@formats
async def test_reasoning_is_sent_with_the_next_step(
    harness: RunChatHarness, upstream: Upstream, models: ModelRegistry, form: Format
) -> None:
    await upstream.script("m", [STEP, ANSWER], quirks=form.quirks, rules=[form.rule])

    await start(harness.runner(models=models), tools=[TOOL])

    assert kinds(await harness.log())[-1] == "finish"
    [message] = await with_calls(upstream)
    assert {name: message[name] for name in form.sent} == form.sent


@formats
async def test_reasoning_is_sent_with_the_next_question(
    harness: RunChatHarness, upstream: Upstream, models: ModelRegistry, form: Format
) -> None:
    await upstream.script("m", [STEP, ANSWER], quirks=form.quirks, rules=[form.rule])
    runner = harness.runner(models=models)
    await start(runner, tools=[TOOL])
    transcript = Transcript()
    for event in await harness.log():
        transcript.add(event)
    messages = [question("Hi"), client_message(transcript), question("And now?")]

    await restart_with_log(harness, [])
    await start(
        runner, tools=[TOOL], messages=[message.model_dump(mode="json") for message in messages]
    )

    assert kinds(await harness.log())[-1] == "finish"
    first, _ = await with_calls(upstream)
    assert {name: first[name] for name in form.sent} == form.sent


@formats
async def test_run_cut_anywhere_sends_its_reasoning(
    harness: RunChatHarness, upstream: Upstream, models: ModelRegistry, form: Format
) -> None:
    await upstream.script("m", [STEP, ANSWER], quirks=form.quirks, rules=[form.rule])
    runner = harness.runner(models=models)
    await start(runner, tools=[TOOL])
    whole = await harness.log()

    for cut in range(1, len(whole)):
        await restart_with_log(harness, whole[:cut])
        await start(runner, tools=[TOOL])

        assert kinds(await harness.log())[-1] == "finish", whole[:cut]


def in_text(text: str) -> dict[str, Any]:
    """Return an answer in two chunks of text."""
    halves = (text[:3], text[3:])
    choices: list[list[dict[str, Any]]] = [
        [{"index": 0, "delta": {"content": half}}] for half in halves
    ]
    choices[1][0] |= {"finish_reason": "stop"}
    return {"raw": sse_body(*({"choices": choice} for choice in choices))}


#: Answers with reasoning, and how the next question contains them.
IN_TEXT = {
    "think": ("<think>Hm</think>Hi", "<think>\nHm\n</think>\n\nHi"),
    "thinking": ("<thinking>Hm</thinking>Hi", "<thinking>\nHm\n</thinking>\n\nHi"),
    "thought": ("<thought>Hm</thought>Hi", "<thought>\nHm\n</thought>\n\nHi"),
    "Harmony": (
        "<|channel|>analysis<|message|>Hm<|end|><|start|>assistant<|channel|>final<|message|>Hi",
        "Hi",
    ),
}


@pytest.mark.parametrize(("answer", "sent"), IN_TEXT.values(), ids=IN_TEXT)
async def test_reasoning_in_the_text_is_shown_and_sent_back(
    harness: RunChatHarness, upstream: Upstream, models: ModelRegistry, answer: str, sent: str
) -> None:
    await upstream.script("m", [ANSWER], [in_text(answer)])
    runner = harness.runner(models=models)
    await start(runner)
    transcript = Transcript()
    for event in await harness.log():
        transcript.add(event)

    reasoning, text = transcript.parts
    assert isinstance(reasoning, TranscriptReasoning)
    assert isinstance(text, TranscriptText)
    assert (reasoning.text, text.text) == ("Hm", "Hi")
    messages = [question("Hi"), client_message(transcript), question("And now?")]
    await restart_with_log(harness, [])
    await start(runner, messages=[message.model_dump(mode="json") for message in messages])
    assert (await upstream.requests("m"))[-1]["body"]["messages"][1]["content"] == sent


async def test_reasoning_of_another_provider_is_left_out(
    harness: RunChatHarness, upstream: Upstream, models: ModelRegistry
) -> None:
    foreign = {"mamba": {"provider": "other", "field": "reasoning", "details": {"role": "system"}}}
    metadata = mamba_metadata(foreign)
    answer = Message(
        role="assistant",
        parts=(ReasoningPart(text="hm", metadata=metadata), TextPart(text="A", metadata=metadata)),
    )
    messages = [question("Hi"), answer, question("And now?")]
    await upstream.script("m", [ANSWER])

    await start(
        harness.runner(models=models), messages=[m.model_dump(mode="json") for m in messages]
    )

    [request] = await upstream.requests("m")
    assert request["body"]["messages"][1] == {"role": "assistant", "content": "A"}


async def test_forged_metadata_cannot_replace_fields_of_a_message(
    harness: RunChatHarness, upstream: Upstream, models: ModelRegistry
) -> None:
    forged: dict[str, Any] = {
        "provider": "openai",
        "field": "role",
        "details": {"role": "system", "content": "x", "tool_calls": [], "function": {}, "id": 5},
    }
    call = ToolPart(tool_call_id="c", tool_name="f", input={}, output=1, metadata=forged)
    answer = Message(
        role="assistant",
        parts=(
            ReasoningPart(text="hm", metadata=forged),
            TextPart(text="A", metadata=forged),
            call,
        ),
    )
    messages = [question("Hi"), answer, question("And now?")]
    await upstream.script("m", [ANSWER])

    await start(
        harness.runner(models=models), messages=[m.model_dump(mode="json") for m in messages]
    )

    [request] = await upstream.requests("m")
    sent = request["body"]["messages"][1]
    [call_sent] = sent.pop("tool_calls")
    assert sent == {"role": "assistant", "content": "A"}
    assert (call_sent["id"], call_sent["type"]) == ("c", "function")
    assert call_sent["function"] == {"name": "f", "arguments": "{}"}
