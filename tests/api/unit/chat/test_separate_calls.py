"""Histories of OpenAI, Anthropic and the AI SDK's model messages: calls and results are paired."""

from typing import Any

import pytest
from pydantic_core import to_json

from api.chat.request import ChatRequest
from shared.chat.messages import Message, StepStart, TextPart, ToolPart
from shared.errors import InvalidRequest
from shared.settings import LimitSettings
from tests.support.fakes.chat_requests import HI, read_body

LIMITS = LimitSettings(values=60)


async def read(*messages: Any, **fields: Any) -> ChatRequest:
    body = to_json({"messages": messages, **fields})
    return await read_body(body, LIMITS)


async def history(*messages: Any) -> list[tuple[str, list[Any]]]:
    return shown((await read(*messages)).history())


def shown(messages: tuple[Message, ...]) -> list[tuple[str, list[Any]]]:
    """Return roles with texts, and calls as tuples."""
    return [(message.role, [_shown(part) for part in message.parts]) for message in messages]


def _shown(part: Any) -> Any:
    if isinstance(part, TextPart):
        return part.text
    if isinstance(part, StepStart):
        return "-"
    assert isinstance(part, ToolPart)
    return (part.tool_call_id, part.tool_name, part.input, part.error_text or part.output)


def openai_call(call_id: str = "a", arguments: Any = '{"x":1}') -> dict[str, Any]:
    function = {"name": "f", "arguments": arguments}
    return {"id": call_id, "type": "function", "function": function}


def openai_calls(*calls: Any, content: Any = None) -> dict[str, Any]:
    return {"role": "assistant", "content": content, "tool_calls": calls or [openai_call()]}


def openai_result(call_id: str = "a", content: Any = "21") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": content}


def sdk_call() -> dict[str, Any]:
    return {"type": "tool-call", "toolCallId": "a", "toolName": "f", "input": {"x": 1}}


def sdk_result(output: Any, call_id: str = "a", field: str = "output") -> dict[str, Any]:
    return {"type": "tool-result", "toolCallId": call_id, "toolName": "f", field: output}


def anthropic_call(call_id: str = "a") -> dict[str, Any]:
    return {"type": "tool_use", "id": call_id, "name": "f", "input": {"x": 1}}


def anthropic_result(content: Any, call_id: str = "a", **fields: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": call_id, "content": content, **fields}


def assistant(*parts: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": parts}


def tool(*parts: Any) -> dict[str, Any]:
    return {"role": "tool", "content": parts}


def user(*parts: Any) -> dict[str, Any]:
    return {"role": "user", "content": parts}


def text(value: str) -> dict[str, Any]:
    return {"type": "text", "text": value}


JSON_OUTPUT = {"type": "json", "value": {"t": 21}}
IMAGE = {"type": "image", "source": {"type": "base64", "data": "aGk="}}
#: The call, the message with its result, and the result that models receive.
PAIRS: dict[str, tuple[Any, Any, Any]] = {
    "OpenAI": (openai_calls(), openai_result(), "21"),
    "OpenAI with a text": (openai_calls(content=""), openai_result(), "21"),
    "OpenAI with text parts": (
        openai_calls(),
        openai_result(content=[text("2"), text("1")]),
        "2\n\n1",
    ),
    "OpenAI without a result text": (openai_calls(), openai_result(content=None), None),
    "OpenAI custom tool": (
        openai_calls({"id": "a", "type": "custom", "custom": {"name": "f", "input": '{"x":1}'}}),
        openai_result(),
        "21",
    ),
    "AG-UI": (
        {"role": "assistant", "toolCalls": [openai_call()]},
        {"role": "tool", "toolCallId": "a", "content": "21"},
        "21",
    ),
    "LangChain": (
        {
            "type": "ai",
            "content": "",
            "tool_calls": [{"name": "f", "args": {"x": 1}, "id": "a", "type": "tool_call"}],
        },
        {"type": "tool", "tool_call_id": "a", "content": "21", "status": "success"},
        "21",
    ),
    "LangChain and Anthropic": (
        {
            "type": "ai",
            "content": [anthropic_call()],
            "tool_calls": [{"name": "f", "args": {"x": 1}, "id": "a", "type": "tool_call"}],
        },
        {"type": "tool", "tool_call_id": "a", "content": "21"},
        "21",
    ),
    "LangChain block": (
        {
            "type": "ai",
            "content": [{"type": "tool_call", "id": "a", "name": "f", "args": {"x": 1}}],
        },
        {"type": "tool", "tool_call_id": "a", "content": "21"},
        "21",
    ),
    "LangChain error": (
        openai_calls({"name": "f", "args": {"x": 1}, "id": "a", "type": "tool_call"}),
        {"role": "tool", "tool_call_id": "a", "content": "no", "status": "error"},
        "no",
    ),
    "LangChain, not parsed": (
        {
            "type": "ai",
            "content": "",
            "tool_calls": [],
            "additional_kwargs": {"tool_calls": [openai_call()]},
        },
        {"type": "tool", "tool_call_id": "a", "content": "21"},
        "21",
    ),
    "LangChain, parsed and not parsed": (
        {
            "type": "ai",
            "content": "",
            "tool_calls": [{"name": "f", "args": {"x": 1}, "id": "a", "type": "tool_call"}],
            "additional_kwargs": {"tool_calls": [openai_call(arguments='{"x":2}')]},
        },
        {"type": "tool", "tool_call_id": "a", "content": "21"},
        "21",
    ),
    "LangChain object": (
        {
            "lc": 1,
            "type": "constructor",
            "id": ["langchain_core", "messages", "AIMessage"],
            "kwargs": {"content": "", "additional_kwargs": {"tool_calls": [openai_call()]}},
        },
        {"type": "tool", "tool_call_id": "a", "content": "21"},
        "21",
    ),
    "AI SDK": (assistant(sdk_call()), tool(sdk_result(JSON_OUTPUT)), {"t": 21}),
    "AI SDK text": (
        assistant(sdk_call()),
        tool(sdk_result({"type": "text", "value": "21"})),
        "21",
    ),
    "AI SDK error": (
        assistant(sdk_call()),
        tool(sdk_result({"type": "error-text", "value": "no"})),
        "no",
    ),
    "AI SDK JSON error": (
        assistant(sdk_call()),
        tool(sdk_result({"type": "error-json", "value": {"a": 1}})),
        '{"a":1}',
    ),
    "AI SDK denied": (
        assistant(sdk_call(), {"type": "tool-approval-request", "approvalId": "p"}),
        tool(sdk_result({"type": "execution-denied", "reason": "not now"})),
        "not now",
    ),
    "AI SDK content": (
        assistant(sdk_call()),
        tool(sdk_result({"type": "content", "value": [text("21"), {"type": "media"}]})),
        "21\n\n[Left out: a part of type “media”.]",
    ),
    "AI SDK untyped": (assistant(sdk_call()), tool(sdk_result([21])), [21]),
    "AI SDK 4": (
        assistant({"type": "tool-call", "toolCallId": "a", "toolName": "f", "args": {"x": 1}}),
        tool(sdk_result({"type": "x"}, field="result")),
        {"type": "x"},
    ),
    "AI SDK 4 error": (
        assistant(sdk_call()),
        tool({**sdk_result("no", field="result"), "isError": True}),
        "no",
    ),
    "Anthropic": (assistant(anthropic_call()), user(anthropic_result("21")), "21"),
    "Anthropic image": (
        assistant(anthropic_call()),
        user(anthropic_result([text("21"), IMAGE])),
        "21\n\n[Left out: a part of type “image”.]",
    ),
    "Anthropic error": (
        assistant(anthropic_call()),
        user(anthropic_result("no", is_error=True)),
        "no",
    ),
}


@pytest.mark.parametrize(("call", "result", "output"), PAIRS.values(), ids=PAIRS)
async def test_call_is_paired_with_its_result(call: Any, result: Any, output: Any) -> None:
    assert await history(HI, call, result, HI) == [
        ("user", ["Hi"]),
        ("assistant", [("a", "f", {"x": 1}, output)]),
        ("user", ["Hi"]),
    ]


@pytest.mark.parametrize("name", [name for name in PAIRS if "error" in name or "denied" in name])
async def test_failed_call_has_an_error(name: str) -> None:
    call, result, error = PAIRS[name]
    _, answer, _ = (await read(HI, call, result, HI)).history()

    [part] = answer.parts
    assert isinstance(part, ToolPart)
    assert (part.output, part.error_text) == (None, error)


@pytest.mark.parametrize(("call", "result", "output"), PAIRS.values(), ids=PAIRS)
async def test_result_as_the_last_message_is_answered(call: Any, result: Any, output: Any) -> None:
    assert await history(HI, call, result) == [
        ("user", ["Hi"]),
        ("assistant", [("a", "f", {"x": 1}, output)]),
    ]


async def test_parallel_calls_keep_their_order() -> None:
    calls = openai_calls(openai_call("a"), openai_call("b"), content="Wait.")

    assert await history(HI, calls, openai_result("b", "2"), openai_result("a", "1"), HI) == [
        ("user", ["Hi"]),
        ("assistant", ["Wait.", ("a", "f", {"x": 1}, "1"), ("b", "f", {"x": 1}, "2")]),
        ("user", ["Hi"]),
    ]


async def test_id_that_is_used_again_has_a_result_per_use() -> None:
    first = [openai_calls(), openai_result("a", "1")]
    second = [openai_calls(openai_call(), openai_call()), *map(openai_result, "aa", "23")]

    answers = [parts for _, parts in (await history(HI, *first, *second, HI))[1:-1]]
    assert [[part[3] for part in parts] for parts in answers] == [["1"], ["2", "3"]]


async def test_result_in_the_same_message_ends_a_step() -> None:
    answer = assistant(sdk_call(), sdk_result(JSON_OUTPUT), text("It is 21."))

    assert await history(HI, answer, HI) == [
        ("user", ["Hi"]),
        ("assistant", [("a", "f", {"x": 1}, {"t": 21}), "-", "It is 21."]),
        ("user", ["Hi"]),
    ]


async def test_text_beside_a_result_follows_the_call() -> None:
    question = user(anthropic_result("21"), text("And tomorrow?"))

    assert await history(HI, assistant(anthropic_call()), question) == [
        ("user", ["Hi"]),
        ("assistant", [("a", "f", {"x": 1}, "21")]),
        ("user", ["And tomorrow?"]),
    ]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("", {"input": ""}),
        ("{", {"input": "{"}),
        (None, {}),
        ({"y": 2}, {"y": 2}),
        ([], {"input": []}),
    ],
)
async def test_any_arguments_become_an_object(arguments: Any, expected: Any) -> None:
    answer = (
        await history(HI, openai_calls(openai_call(arguments=arguments)), openai_result(), HI)
    )[1]

    assert answer[1][0][2] == expected


#: What cannot be used in an older message, and a word of the note that the model receives.
UNPAIRED: dict[str, tuple[Any, str]] = {
    "OpenAI call": (openai_calls(), "“f” has no result"),
    "AI SDK call": (assistant(sdk_call()), "“f” has no result"),
    "Anthropic call": (assistant(anthropic_call()), "“f” has no result"),
    "OpenAI result": (openai_result(), "No earlier tool call"),
    "AI SDK result": (tool(sdk_result(JSON_OUTPUT)), "No earlier tool call"),
    "Anthropic result": (user(anthropic_result("21")), "No earlier tool call"),
    "result without an id": ({"role": "tool", "content": "21"}, "Field required"),
    "text of a tool": (tool(text("21")), "only contain tool results"),
    "call of the user": (user(anthropic_call()), "not in a message of the assistant"),
    "call without an id": (openai_calls({"function": {"name": "f"}}), "“f” has no result"),
    "call without a name": (openai_calls({"id": "a", "function": {}}), "Field required"),
    "flat call without an id": (
        openai_calls({"type": "tool_call", "name": "f"}),
        "“f” has no result",
    ),
    "approval": (tool({"type": "tool-approval-response", "approvalId": "p"}), "not supported"),
    "calls that are no list": ({"role": "assistant", "tool_calls": {}}, "list"),
    "function message": ({"role": "function", "name": "f", "content": "21"}, "No earlier"),
    "id that is no text": ({"role": "tool", "tool_call_id": [1], "content": "21"}, "string"),
}


@pytest.mark.parametrize(("message", "reason"), UNPAIRED.values(), ids=UNPAIRED)
async def test_part_without_counterpart_is_left_out_with_a_note(message: Any, reason: str) -> None:
    _, (role, [note]), question = await history(HI, message, HI)

    assert note.startswith("[")
    assert "eft out" in note
    assert reason in note
    assert role in ("user", "assistant")
    assert question == ("user", ["Hi"])


@pytest.mark.parametrize(
    ("message", "field"),
    [
        (openai_result(), "content[0]"),
        ({"role": "tool", "content": "21"}, "content[0].tool_call_id"),
        (tool(sdk_result(JSON_OUTPUT)), "content[0]"),
        (user(anthropic_result("21"), text("Hi")), "content[0]"),
        (tool({"type": "tool-approval-response", "approvalId": "p"}), "content[0]"),
    ],
)
async def test_new_result_without_its_call_is_refused(message: Any, field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await read(HI, message)

    assert caught.value.field == f"messages[1].{field}"


@pytest.mark.parametrize(
    ("fields", "result"),
    [
        ({"result": {"t": 21}}, {"t": 21}),
        ({"result": None}, None),
        ({"result": "no", "isError": True}, "no"),
    ],
)
async def test_result_in_the_part_of_the_call_is_used(fields: Any, result: Any) -> None:
    call = {"type": "tool-call", "toolCallId": "a", "toolName": "f", "args": {"x": 1}, **fields}

    _, answer, _ = await history(HI, assistant(call), HI)
    assert answer == ("assistant", [("a", "f", {"x": 1}, result)])


async def test_function_of_openai_is_paired_by_its_name() -> None:
    call = {"role": "assistant", "function_call": {"name": "f", "arguments": '{"x":1}'}}
    result = {"role": "function", "name": "f", "content": "21"}

    _, answer, _ = await history(HI, call, result, HI)
    assert answer == ("assistant", [("f", "f", {"x": 1}, "21")])


async def test_function_in_fields_of_langchain_is_paired_by_its_name() -> None:
    function = {"name": "f", "arguments": '{"x":1}'}
    call = {"type": "ai", "content": "", "additional_kwargs": {"function_call": function}}
    result = {"type": "function", "name": "f", "content": "21"}

    _, answer, _ = await history(HI, call, result, HI)
    assert answer == ("assistant", [("f", "f", {"x": 1}, "21")])


async def test_call_with_invalid_arguments_of_langchain_is_kept() -> None:
    broken = {"type": "invalid_tool_call", "id": "b", "name": "f", "args": '{"x"', "error": "no"}
    kept = {"tool_calls": [openai_call(), openai_call("b", '{"x"')]}
    calls = {"type": "ai", "invalid_tool_calls": [broken], "additional_kwargs": kept}

    _, answer, _ = await history(HI, calls, openai_result(), openai_result("b", "bad"), HI)
    assert answer == (
        "assistant",
        [("b", "f", {"input": '{"x"'}, "bad"), ("a", "f", {"x": 1}, "21")],
    )


async def test_call_of_langchain_without_a_result_has_a_note() -> None:
    call = {"type": "ai", "content": "", "additional_kwargs": {"tool_calls": [openai_call()]}}

    _, (_, [note]), _ = await history(HI, call, HI)
    assert "The call of “f” has no result." in note


async def test_second_result_of_a_call_is_left_out() -> None:
    result = openai_result()

    _, answer, (_, [note]), _ = await history(HI, openai_calls(), result, result, HI)
    assert answer == ("assistant", [("a", "f", {"x": 1}, "21")])
    assert "already has a result" in note


async def test_abandoned_call_does_not_take_a_later_result() -> None:
    _, (_, [note]), (_, [call]), _ = await history(
        HI, openai_calls(), openai_calls(), openai_result(), HI
    )

    assert "has no result" in note
    assert call == ("a", "f", {"x": 1}, "21")


async def test_values_of_paired_calls_are_limited() -> None:
    call, result = assistant(sdk_call()), tool(sdk_result([0] * 50))

    _, old, new, _ = await history(HI, call, result, call, result, HI)
    assert "60 values" in old[1][0]
    assert new[1][0][3] == [0] * 50


@pytest.mark.parametrize("kind", ["tool-call", "tool-result"])
async def test_ui_part_of_a_tool_with_such_a_name_is_kept(kind: str) -> None:
    part: Any = {
        "type": kind,
        "toolCallId": "a",
        "state": "output-available",
        "input": {},
        "output": 1,
    }

    _, answer, _ = await history(HI, {"role": "assistant", "parts": [part]}, HI)
    assert answer == ("assistant", [("a", kind.removeprefix("tool-"), {}, 1)])


async def test_top_level_system_text_is_the_first_message() -> None:
    assert shown((await read(HI, system="Be brief.")).history()) == [
        ("system", ["Be brief."]),
        ("user", ["Hi"]),
    ]


@pytest.mark.parametrize("system", ["", " \n", None])
async def test_blank_system_text_is_ignored(system: str | None) -> None:
    assert shown((await read(HI, system=system)).history()) == [("user", ["Hi"])]


async def test_system_text_precedes_a_continued_message() -> None:
    chat = await read(HI, {"role": "assistant", "content": "Hello"}, system="Be brief.")

    assert [message.role for message in chat.history_before(0)] == ["system", "user", "assistant"]
