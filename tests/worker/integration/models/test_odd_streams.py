"""Answers that end in unusual ways, and requests for servers with strict rules."""

import json
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from typing import Any

import pytest
from pydantic import SecretStr
from pydantic_ai import Tool

from shared.chat.messages import Message, Role, TextPart
from shared.settings import ModelProfileSettings, OpenAISettings, Settings
from shared.settings.live_settings import LiveSettings
from shared.streams.events import Finish, ToolInputAvailable
from tests.support.run_chat_harness import (
    RunChatHarness,
    error_code,
    kinds,
    restart_with_log,
    start,
    text_of,
)
from tests.support.upstream.client import Upstream, sse_body
from tests.support.upstream.rules import Rule
from worker.agents import engine
from worker.agents.builtin.chat import chat
from worker.agents.definition import AgentLimits
from worker.models.registry import ModelRegistry

pytestmark = pytest.mark.usefixtures("no_pauses")

TOOL = "generateCard"
CALL = {"id": "c1", "name": TOOL, "arguments": '{"title":"one"}'}
HELLO = [{"text": ["Hello"]}]


@pytest.fixture(autouse=True)
async def clean(upstream: Upstream) -> None:
    await upstream.clear()


def registry(upstream: Upstream, **profile: Any) -> ModelRegistry:
    settings = OpenAISettings(
        base_url=upstream.base_url, api_key=SecretStr("k"), profile=ModelProfileSettings(**profile)
    )
    return ModelRegistry(LiveSettings(Settings(openai=settings)))


@pytest.fixture
async def models(upstream: Upstream) -> AsyncGenerator[ModelRegistry]:
    models = registry(upstream)
    yield models
    await models.close()


@pytest.fixture(autouse=True)
def cards(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    made: list[str] = []

    async def make(title: str = "none") -> str:
        made.append(title)
        return title

    def tools(_: object) -> list[Tool]:
        return [Tool(make, name=TOOL)]

    monkeypatch.setattr(engine, "display_tools", tools)
    return made


def raw(*chunks: Any) -> dict[str, Any]:
    return {"raw": sse_body(*chunks)}


def choice(delta: Any, reason: Any = None) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}


TEXT = choice({"role": "assistant", "content": "Hi"})

ENDINGS: dict[str, Sequence[Any]] = {
    "reasoning only": [choice({"reasoning_content": "hm"}), choice({}, "stop")],
    "empty content": [choice({"content": ""}), choice({}, "stop")],
    "stop with nothing": [choice({}, "stop")],
    "no choices": [{"choices": []}, {"choices": None}, {}],
    "null delta": [TEXT, choice(None, "stop")],
    "empty reason": [TEXT, choice({}, "")],
    "eos": [TEXT, choice({}, "eos")],
    "upper case": [TEXT, choice({}, "STOP")],
    "no reason": [TEXT],
    "tool_calls without calls": [TEXT, choice({}, "tool_calls")],
    "function_call without calls": [TEXT, choice({"function_call": None}, "function_call")],
    "empty list of calls": [TEXT, choice({"tool_calls": []}, "tool_calls")],
    "role everywhere": [TEXT, choice({"role": "assistant", "content": None}, "stop")],
    "usage only": [TEXT, choice({}, "stop"), {"choices": [], "usage": "x"}],
    "unclosed tag": [choice({"content": "<think>hm"}), choice({}, "stop")],
}


@pytest.mark.parametrize("chunks", ENDINGS.values(), ids=ENDINGS)
async def test_unusual_ending_ends_the_answer(
    harness: RunChatHarness, upstream: Upstream, models: ModelRegistry, chunks: Sequence[Any]
) -> None:
    await upstream.script("m", [HELLO], [raw(*chunks)])

    await start(harness.runner(models=models), tools=[TOOL])

    log = await harness.log()
    assert log[-1] == Finish(finish_reason="stop")
    assert text_of(log) == ("Hi" if TEXT in chunks else "")
    assert len(await upstream.requests("m")) == 1


async def test_empty_answer_after_a_tool_ends_the_answer(
    harness: RunChatHarness, upstream: Upstream, models: ModelRegistry, cards: list[str]
) -> None:
    await upstream.script("m", [[{"tool": CALL}], HELLO], [{"ok": True}, raw(choice({}, "stop"))])

    await start(harness.runner(models=models), tools=[TOOL])

    assert kinds(await harness.log())[-1] == "finish"
    assert cards == ["one"]


async def test_refusal_ends_with_the_content_filter_code(
    harness: RunChatHarness, upstream: Upstream, models: ModelRegistry
) -> None:
    await upstream.script(
        "m", [HELLO], [raw(choice({"content": None, "refusal": "No."}), choice({}, "stop"))]
    )

    await start(harness.runner(models=models))

    assert error_code(await harness.log()) == "content_filter"


def call_ids_sent(requests: Sequence[Any]) -> list[str]:
    messages = requests[-1]["body"]["messages"]
    calls = [call["id"] for m in messages for call in m.get("tool_calls") or ()]
    assert [m["tool_call_id"] for m in messages if m["role"] == "tool"] == calls
    return calls


@pytest.mark.parametrize(
    "ids",
    [
        ["x" * 924],
        ["call|ö/ \n\"'"],
        ["c", "c"],
        ["call_abc__thought__" + "A" * 900, "b"],
        ["1", "2"],
    ],
)
@pytest.mark.parametrize("reason", ["tool_calls", "stop", None])
async def test_tool_call_ids_return_unchanged(
    harness: RunChatHarness,
    upstream: Upstream,
    models: ModelRegistry,
    ids: list[str],
    reason: str | None,
) -> None:
    calls = [
        {"index": n, "id": call_id, "function": {"name": TOOL, "arguments": f'{{"title":"{n}"}}'}}
        for n, call_id in enumerate(ids)
    ]
    answer = raw(choice({"tool_calls": calls}), choice({}, reason))
    await upstream.script("m", [HELLO], [answer, answer])

    await start(harness.runner(models=models), tools=[TOOL])

    log = await harness.log()
    shown = [event.tool_call_id for event in log if isinstance(event, ToolInputAvailable)]
    assert len({*shown}) == len(shown) == 2 * len(ids)
    assert text_of(log) == "Hello"
    assert call_ids_sent(await upstream.requests("m")) == [*ids, *ids]


async def test_calls_without_ids_pair_up_with_their_results(
    harness: RunChatHarness, upstream: Upstream, models: ModelRegistry, cards: list[str]
) -> None:
    calls = [{"function": {"name": TOOL, "arguments": {"title": title}}} for title in "ab"]
    await upstream.script("m", [HELLO], [raw(choice({"tool_calls": calls}, "tool_calls"))])

    await start(harness.runner(models=models), tools=[TOOL])

    assert sorted(cards) == ["a", "b"]
    assert len({*call_ids_sent(await upstream.requests("m"))}) == 2


@pytest.mark.parametrize(
    "usages",
    [
        [{"prompt_tokens": 40, "completion_tokens": n} for n in (1, 20, 40)],
        [None, {"prompt_tokens": "40", "completion_tokens": 40.0}],
        [{"prompt_tokens": 40, "completion_tokens": 40}, {"prompt_tokens": None}],
        [{"prompt_tokens": p, "completion_tokens": c} for p, c in ((40, 10), (0, 20), (0, 10))],
    ],
)
@pytest.mark.parametrize(("limit", "ending"), [(100, "finish"), (70, "error")])
async def test_usage_is_counted_once(
    harness: RunChatHarness,
    upstream: Upstream,
    models: ModelRegistry,
    usages: Sequence[Any],
    limit: int,
    ending: str,
) -> None:
    harness.definition = replace(chat, limits=AgentLimits(tokens=limit))
    chunks = [{**TEXT, "usage": usage} for usage in usages]
    await upstream.script("m", [HELLO], [raw(*chunks, choice({}, "stop"))])

    await start(harness.runner(models=models))

    assert kinds(await harness.log())[-1] == ending


def conversation(*roles: Role) -> list[dict[str, Any]]:
    return [
        Message(role=role, parts=(TextPart(text=f"{role} {n}"),)).model_dump(mode="json")
        for n, role in enumerate(roles)
    ]


STRICT: dict[str, tuple[Rule, dict[str, Any], list[Role]]] = {
    "two user messages": ("alternating-roles", {}, ["user", "user"]),
    "two assistant messages": (
        "alternating-roles",
        {},
        ["user", "assistant", "assistant", "user", "user"],
    ),
    "the assistant first": ("alternating-roles", {}, ["assistant", "user"]),
    "the assistant first, after a system message": (
        "alternating-roles",
        {},
        ["system", "assistant", "assistant", "user"],
    ),
    "several system messages": ("one-system-message", {}, ["system", "system", "user"]),
    "a system message in the middle": (
        "one-system-message",
        {},
        ["system", "user", "assistant", "system", "user"],
    ),
    "no system role": ("no-system-message", {"system_role": "user"}, ["system", "user", "user"]),
    "no system role, alternating": (
        "alternating-roles",
        {"system_role": "user"},
        ["system", "user", "user"],
    ),
    "no stream options": ("no-stream-options", {"stream_usage": False}, ["user"]),
    "no tool choice": ("no-tool-choice", {"tool_choice": "never"}, ["user"]),
}


@pytest.mark.parametrize(("rule", "profile", "roles"), STRICT.values(), ids=STRICT)
async def test_request_follows_the_rules_of_a_strict_server(
    harness: RunChatHarness,
    upstream: Upstream,
    rule: Rule,
    profile: dict[str, Any],
    roles: list[Role],
) -> None:
    await upstream.script("m", [HELLO], rules=[rule])
    models = registry(upstream, **profile)

    await start(harness.runner(models=models), tools=[TOOL], messages=conversation(*roles))

    assert text_of(await harness.log()) == "Hello"
    [request] = await upstream.requests("m")
    sent = json.dumps(request["body"]["messages"])
    assert all(f"{role} {n}" in sent for n, role in enumerate(roles))
    await models.close()


async def test_parallel_calls_are_sent_one_by_one_if_disabled(
    harness: RunChatHarness, upstream: Upstream
) -> None:
    calls = [{"tool": {**CALL, "id": "a"}}, {"tool": {**CALL, "id": "b"}}]
    await upstream.script("m", [calls, HELLO, HELLO], rules=["one-call-per-message"])
    models = registry(upstream, parallel_tool_calls=False)

    await start(harness.runner(models=models), tools=[TOOL])

    assert kinds(await harness.log())[-1] == "finish"
    first, last = await upstream.requests("m")
    assert first["body"]["parallel_tool_calls"] is False
    roles = [message["role"] for message in last["body"]["messages"]]
    assert roles == ["user", "assistant", "tool", "assistant", "tool"]
    await models.close()


async def test_interrupted_text_is_joined_in_later_requests(
    harness: RunChatHarness, upstream: Upstream, models: ModelRegistry
) -> None:
    await upstream.script("m", [[{"text": ["Let me", " see"]}, {"tool": CALL}], HELLO])
    runner = harness.runner(models=models)
    await start(runner, tools=[TOOL])
    log = await harness.log()
    cut = kinds(log).index("text-delta") + 1
    half = [*log[: cut - 1], log[cut - 1].model_copy(update={"delta": "Let me"})]

    await restart_with_log(harness, half)
    await start(runner, tools=[TOOL])

    messages = (await upstream.requests("m"))[-1]["body"]["messages"]
    assert [message["role"] for message in messages] == ["user", "assistant", "tool"]
    assert messages[1]["content"] == "Let me see"
