"""Validation and normalization of the body of `POST /chat`."""

import codecs
import json
from typing import Any

import pytest

from api.chat.request import ChatRequest
from api.chat.validation import read_chat_request
from shared.chat.messages import (
    FilePart,
    Message,
    Part,
    ReasoningPart,
    StepStart,
    TextPart,
    ToolPart,
)
from shared.errors import InvalidRequest, TooLarge
from shared.settings import LimitSettings
from tests.support.fakes.chat_requests import ANSWER, CALL, HI, read_body, request

LIMITS = LimitSettings(messages=5, parts=4, id_chars=16, body_bytes=4096)


async def read(body: Any) -> ChatRequest:
    return await read_body(body, LIMITS)


async def normalized_message(message: dict[str, Any]) -> Message:
    return (await read({"messages": [message, HI]})).history()[0]


async def normalized_parts(*parts: dict[str, Any], role: str = "assistant") -> tuple[Part, ...]:
    history = (await read({"messages": [{"role": role, "parts": parts}, HI]})).history()
    return history[0].parts if len(history) == 2 else ()


async def validation_error(body: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        await read(body)
    return caught.value


async def test_string_content_becomes_a_text_part() -> None:
    assert await normalized_message(HI) == Message(role="user", parts=(TextPart(text="Hi"),))


async def test_content_accepts_a_list_of_parts() -> None:
    message = {"role": "user", "content": [{"type": "text", "text": "Hi"}]}

    assert await normalized_message(message) == Message(role="user", parts=(TextPart(text="Hi"),))


async def test_parts_take_precedence_over_content() -> None:
    message = {"role": "user", "content": "old", "parts": [{"type": "text", "text": "new"}]}

    assert (await normalized_message(message)).parts == (TextPart(text="new"),)


async def test_known_parts_are_kept() -> None:
    url = "data:text/plain;base64,aGk="

    assert await normalized_parts(
        {"type": "step-start"},
        {"type": "reasoning", "text": "hm", "providerMetadata": {"a": 1}},
        {"type": "text", "text": "Hi", "state": "done"},
        {"type": "file", "mediaType": "text/plain", "url": url, "filename": "a.txt"},
    ) == (
        StepStart(),
        ReasoningPart(text="hm"),
        TextPart(text="Hi"),
        FilePart(media_type="text/plain", url=url, filename="a.txt"),
    )


@pytest.mark.parametrize(
    "kind", ["source-url", "source-document", "data-x", "custom", "reasoning-file", "steering", ""]
)
async def test_unknown_parts_are_ignored(kind: str) -> None:
    assert await normalized_parts({"type": kind, "text": 1, "url": []}) == ()


async def test_unknown_keys_are_ignored() -> None:
    chat = await read({"messages": [{**HI, "mood": 1}], "trigger": "submit-message", "x": {}})

    assert chat.history() == (Message(role="user", parts=(TextPart(text="Hi"),)),)


async def test_empty_messages_are_ignored() -> None:
    chat = await read({"messages": [{"role": "assistant", "parts": []}, HI]})

    assert len(chat.history()) == 1


TOOL_PART_FIELDS: dict[str, Any] = {"tool_call_id": "k", "tool_name": "f", "input": {"a": 1}}
COMPLETED_CALLS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"state": "output-available", "output": [1]}, {"output": [1]}),
    ({"state": "output-available", "output": None}, {}),
    ({"state": "output-error", "errorText": "boom"}, {"error_text": "boom"}),
    ({"state": "output-error"}, {"error_text": "The tool failed."}),
    ({"state": "output-denied"}, {"error_text": "The user denied this call."}),
    (
        {"state": "output-denied", "approval": {"id": "a", "reason": "no"}},
        {"error_text": "no"},
    ),
    (
        {"state": "approval-responded", "approval": {"approved": False, "reason": "risky"}},
        {"error_text": "risky"},
    ),
    (
        {"state": "approval-responded", "approval": {"approved": False}},
        {"error_text": "The user denied this call."},
    ),
    (
        {"state": "output-error", "input": "{bad", "errorText": "x"},
        {"input": {"input": "{bad"}, "error_text": "x"},
    ),
    (
        {"state": "output-error", "input": None, "rawInput": '{"a": 1}', "errorText": "x"},
        {"error_text": "x"},
    ),
    (
        {"state": "output-available", "input": [1], "output": 2},
        {"input": {"input": [1]}, "output": 2},
    ),
    ({"state": "output-available", "input": None}, {"input": {}}),
    (
        {"toolCallId": "x" * 924 + "\n|✓", "state": "output-available"},
        {"tool_call_id": "x" * 924 + "\n|✓"},
    ),
    ({"toolCallId": "", "state": "output-available"}, {"tool_call_id": "call_f"}),
    (
        {"type": "tool-maps.find place", "state": "output-available"},
        {"tool_name": "maps_find_place"},
    ),
    ({"type": f"tool-{'n' * 300}", "state": "output-available"}, {"tool_name": "n" * 64}),
    ({"type": "dynamic-tool", "toolName": "g", "state": "output-available"}, {"tool_name": "g"}),
]


@pytest.mark.parametrize(("fields", "expected"), COMPLETED_CALLS)
async def test_tool_call_with_a_result_is_kept(
    fields: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert await normalized_parts({**CALL, **fields}) == (
        ToolPart(**{**TOOL_PART_FIELDS, **expected}),
    )


@pytest.mark.parametrize(
    "state", ["input-streaming", "input-available", "approval-requested", "new-in-ai-8", None]
)
async def test_tool_call_without_a_result_is_ignored(state: str | None) -> None:
    assert await normalized_parts({**CALL, "state": state}) == ()


async def test_approved_call_without_a_result_is_ignored() -> None:
    part = {**CALL, "state": "approval-responded", "approval": {"approved": True}}

    assert await normalized_parts(part) == ()


async def test_continued_message_id_of_a_last_assistant_message() -> None:
    assistant = {"role": "assistant", "id": "m1", "parts": [{"type": "text", "text": "a"}]}

    assert (await read({"messages": [HI, assistant]})).continued_message_id == "m1"
    assert (await read({"messages": [assistant, {**HI, "id": "m2"}]})).continued_message_id is None


CALL_V4: dict[str, Any] = {"toolCallId": "k", "toolName": "f", "args": {"a": 1}}
RESULT_V4: dict[str, Any] = {**CALL_V4, "state": "result", "result": [1]}
TOOL = ToolPart(**TOOL_PART_FIELDS, output=[1])


@pytest.mark.parametrize(
    "fields",
    [
        {"toolInvocation": RESULT_V4},
        RESULT_V4,
        {"toolInvocation": {**RESULT_V4, "step": 0, "x": 1}},
    ],
)
async def test_tool_invocation_with_a_result_becomes_a_tool_part(fields: dict[str, Any]) -> None:
    assert await normalized_parts({"type": "tool-invocation", **fields}) == (TOOL,)


async def test_tool_invocation_with_an_empty_id_receives_one() -> None:
    part = {"type": "tool-invocation", "toolInvocation": {**RESULT_V4, "toolCallId": ""}}

    assert await normalized_parts(part) == (TOOL.model_copy(update={"tool_call_id": "call_f"}),)


@pytest.mark.parametrize("state", ["call", "partial-call"])
async def test_tool_invocation_without_a_result_is_ignored(state: str) -> None:
    invocation = {**CALL_V4, "state": state}

    for fields in ({"toolInvocation": invocation}, invocation):
        assert await normalized_parts({"type": "tool-invocation", **fields}) == ()


@pytest.mark.parametrize(("result", "error"), [("boom", "boom"), ({"code": 1}, "The tool failed.")])
async def test_failed_tool_invocation_becomes_a_failed_tool_part(result: Any, error: str) -> None:
    part = {"type": "tool-invocation", **RESULT_V4, "result": result, "isError": True}

    assert await normalized_parts(part) == (ToolPart(**TOOL_PART_FIELDS, error_text=error),)


async def test_tool_named_invocation_is_supported() -> None:
    part = {**CALL, "type": "tool-invocation", "state": "output-available", "output": [1]}

    assert await normalized_parts(part) == (TOOL.model_copy(update={"tool_name": "invocation"}),)


async def test_tool_invocations_of_a_message_precede_its_content() -> None:
    second = {**RESULT_V4, "toolCallId": "l", "step": 1}
    pending = {**CALL_V4, "toolCallId": "m", "state": "call", "step": 2}
    message = {
        "role": "assistant",
        "content": "There.",
        "toolInvocations": [pending, second, RESULT_V4],
    }

    assert (await normalized_message(message)).parts == (
        TOOL,
        StepStart(),
        TOOL.model_copy(update={"tool_call_id": "l"}),
        StepStart(),
        TextPart(text="There."),
    )


async def test_parts_take_precedence_over_tool_invocations() -> None:
    message = {
        "role": "assistant",
        "content": "old",
        "parts": [{"type": "tool-invocation", "toolInvocation": RESULT_V4}],
        "toolInvocations": [RESULT_V4],
    }

    assert (await normalized_message(message)).parts == (TOOL,)


async def test_files_and_reasoning_of_ai_sdk_v4_are_kept() -> None:
    assert await normalized_parts(
        {"type": "reasoning", "reasoning": "hm", "details": []},
        {"type": "file", "mimeType": "text/plain", "data": "aGk="},
    ) == (
        ReasoningPart(text="hm"),
        FilePart(media_type="text/plain", url="data:;base64,aGk="),
    )
    attachments = [
        {"name": "a", "contentType": "text/plain", "url": "data:,a"},
        {"url": "https://b"},
    ]
    message = {**HI, "experimental_attachments": attachments}
    assert (await normalized_message(message)).parts == (
        FilePart(media_type="text/plain", url="data:,a", filename="a"),
        FilePart(media_type="", url="https://b"),
        TextPart(text="Hi"),
    )


async def test_content_is_used_when_parts_are_empty() -> None:
    assert (await normalized_message({**HI, "parts": []})).parts == (TextPart(text="Hi"),)


async def test_null_agent_equals_a_missing_agent() -> None:
    assert (await read({"messages": [HI], "agent": None, "tools": None})).agent is None


async def test_duplicate_display_tools_are_removed() -> None:
    names = ["generateCard", "generateForm", "generateCard"]

    chat = await read({"messages": [HI], "tools": names})

    assert chat.display_tools() == ("generateCard", "generateForm")


def body_with_part(value: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "parts": [{"type": "text", "text": "Hi"}, value]}]}


def body_with_file(url: Any) -> dict[str, Any]:
    return body_with_part({"type": "file", "mediaType": "text/plain", "url": url})


FILE_URL = "messages[0].parts[1].url"
INVALID_BODIES: list[tuple[Any, str | None]] = [
    ([], None),
    ({}, "messages"),
    ({"messages": []}, "messages"),
    ({"messages": [HI, {}]}, "messages[1].role"),
    ({"messages": [{"role": "critic", "content": "x"}]}, "messages[0].role"),
    ({"messages": [{"role": "user", "content": 1}]}, "messages[0].content"),
    (
        {"messages": [{"role": "user", "content": [{"type": "text"}]}]},
        "messages[0].content[0].text",
    ),
    (body_with_part({"type": "text", "text": 1}), "messages[0].parts[1].text"),
    (body_with_part({"type": "reasoning", "text": None}), "messages[0].parts[1].text"),
    (body_with_part({}), "messages[0].parts[1]"),
    (body_with_part(1), "messages[0].parts[1]"),
    (body_with_part({"type": "tool-f"}), "messages[0].parts[1].toolCallId"),
    (body_with_part({"type": "tool-f", "toolCallId": True}), "messages[0].parts[1].toolCallId"),
    (
        body_with_part({**CALL, "approval": {"approved": "?"}}),
        "messages[0].parts[1].approval.approved",
    ),
    (
        body_with_part({"type": "tool-invocation", "toolInvocation": 1}),
        "messages[0].parts[1].toolInvocation",
    ),
    (
        body_with_part(
            {"type": "tool-invocation", "toolInvocation": {"state": "call", "toolCallId": "k"}}
        ),
        "messages[0].parts[1].toolInvocation.toolName",
    ),
    (
        body_with_part(
            {"type": "tool-invocation", "toolInvocation": {**RESULT_V4, "state": "done"}}
        ),
        "messages[0].parts[1].toolInvocation.state",
    ),
    (
        body_with_part({"type": "tool-invocation", "toolName": "f", "state": "call"}),
        "messages[0].parts[1].toolCallId",
    ),
    (
        {"messages": [{**ANSWER, "toolInvocations": [RESULT_V4, {**RESULT_V4, "toolName": 1}]}]},
        "messages[0].toolInvocations[1].toolName",
    ),
    ({"messages": [{**HI, "toolInvocations": {}}]}, "messages[0].toolInvocations"),
    (
        {"messages": [{**HI, "experimental_attachments": [{"url": "a.txt"}]}]},
        "messages[0].experimental_attachments[0].url",
    ),
    (
        body_with_part({"type": "file", "mimeType": "text/plain", "data": "?"}),
        "messages[0].parts[1].data",
    ),
    (body_with_file(None), FILE_URL),
    (body_with_file(""), FILE_URL),
    (body_with_file("file:///etc/passwd"), FILE_URL),
    (body_with_file("javascript:alert(1)"), FILE_URL),
    (body_with_file("data:text/plain"), FILE_URL),
    (body_with_file("data:;base64,a"), FILE_URL),
    (body_with_file("data:;base64,häh="), FILE_URL),
    ({"messages": [HI], "id": ""}, "id"),
    ({"messages": [HI], "id": "i" * 17}, "id"),
    ({"messages": [HI], "id": "a\nb"}, "id"),
    ({"messages": [HI], "id": "completions/a"}, "id"),
    ({"messages": [HI, {**ANSWER, "id": "i" * 17}]}, "messages[1].id"),
    ({"messages": [HI, {**ANSWER, "id": "a\nb"}]}, "messages[1].id"),
    ({"messages": [HI], "model": ""}, "model"),
    ({"messages": [HI], "agent": ""}, "agent"),
    ({"messages": [HI], "tools": {"f": {}}}, "tools.f.inputSchema"),
    ({"messages": [HI], "tools": {"f g": {"parameters": {}}}}, "tools.f g"),
    ({"messages": [HI], "tools": "generateCard"}, "tools"),
    ({"messages": [HI], "tools": ["generateCard", 1]}, "tools[1]"),
    ({"messages": [HI], "supersede": "?"}, "supersede"),
    ({"messages": [HI, {"role": "user", "content": None}]}, "messages[1]"),
]


@pytest.mark.parametrize(("body", "field"), INVALID_BODIES, ids=lambda value: str(value)[:50])
async def test_invalid_field_is_rejected_with_its_path(body: Any, field: str | None) -> None:
    error = await validation_error(body)

    assert not isinstance(error, TooLarge)
    assert error.field == field
    assert str(error).startswith(f"{field or 'body'}: ")


@pytest.mark.parametrize(
    "url", ["data:,", "data:,hi%20there", "data:;base64,", "data:;base64,a G\nk"]
)
async def test_valid_data_url_is_accepted(url: str) -> None:
    assert await read(body_with_file(url))


async def test_missing_history_error_requests_the_whole_history() -> None:
    assert "whole history" in str(await validation_error({"id": "a", "message": HI}))


async def test_single_message_error_explains_the_missing_history() -> None:
    error = await validation_error({"id": "a", "message": HI})

    assert error.field == "messages"
    assert "the server does not store it" in str(error)


async def test_unknown_display_tool_error_lists_the_available_tools() -> None:
    chat = await read({"messages": [HI], "tools": ["generateCard", "x"]})

    with pytest.raises(InvalidRequest, match="generateForm, generateChart") as caught:
        chat.display_tools()
    assert caught.value.field == "tools[1]"


TOO_LARGE = [
    ({"messages": [HI] * 6}, "messages"),
    ({"messages": [{"role": "user", "parts": [{"type": "x"}] * 5}]}, "messages[0].parts"),
    ({"messages": [HI, {"role": "user", "content": [0] * 5}]}, "messages[1].content"),
    ({"messages": [{**HI, "toolInvocations": [0] * 5}]}, "messages[0].toolInvocations"),
]


@pytest.mark.parametrize(("body", "field"), TOO_LARGE)
async def test_too_many_items_are_rejected_as_too_large(body: Any, field: str) -> None:
    error = await validation_error(body)

    assert isinstance(error, TooLarge)
    assert error.field == field


async def test_request_at_the_limits_is_accepted() -> None:
    texts = [{"type": "text", "text": "x"}] * 4

    assert await read({"messages": [{"role": "user", "parts": texts, "id": "i" * 16}] * 5})


async def test_body_over_the_limit_is_not_read_to_its_end() -> None:
    with pytest.raises(TooLarge):
        await read_chat_request(request(*[b" " * 1024] * 5, b"unread"), LIMITS)
    with pytest.raises(TooLarge):
        await read_chat_request(request(headers={"content-length": "4097"}), LIMITS)


async def test_body_in_several_chunks_is_joined() -> None:
    body = json.dumps({"messages": [HI]}).encode()

    assert await read_chat_request(request(body[:7], b"", body[7:]), LIMITS)


@pytest.mark.parametrize(
    "body",
    [
        rb'{"id":"\ud83d","messages":[{"role":"user","content":"\ude00"}]}',
        b'{"id":"\xff","messages":[{"role":"user","content":"\xf0"}]}',
        codecs.BOM_UTF8 + '{"id":"�","messages":[{"role":"user","content":"�"}]}'.encode(),
        '{"id":"�","messages":[{"role":"user","content":"�"}]}'.encode("utf-16"),
    ],
)
async def test_text_that_is_not_unicode_is_read(body: bytes) -> None:
    chat = await read(body)

    assert chat.id == "\ufffd"
    assert chat.history() == (Message(role="user", parts=(TextPart(text="\ufffd"),)),)


async def test_key_that_is_not_unicode_is_read() -> None:
    part = {**CALL, "input": {"\ud83d": 1}, "state": "output-available"}

    [call] = await normalized_parts(part)
    assert isinstance(call, ToolPart)
    assert call.input == {"\ufffd": 1}


@pytest.mark.parametrize("body", [b"", b"{", b"nonsense", b"\xff", b"[" * 1000])
async def test_invalid_json_is_rejected(body: bytes) -> None:
    error = await validation_error(body)

    assert "not valid JSON" in str(error)
    assert error.field is None


async def test_too_deeply_nested_tool_input_or_output_is_rejected() -> None:
    nested: Any = 1
    for _ in range(99):
        nested = [nested]
    assert await normalized_parts({**CALL, "state": "output-available", "output": {"a": nested}})

    error = await validation_error(body_with_part({**CALL, "output": {"a": [[nested]]}}))
    assert error.field == "messages[0].parts[1].output"
    error = await validation_error(
        body_with_part({"type": "tool-invocation", **RESULT_V4, "result": [[nested]]})
    )
    assert error.field == "messages[0].parts[1].result"
