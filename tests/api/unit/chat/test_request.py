"""The body of `POST /chat`: what is understood, what is left out, what is refused and how."""

import json
from typing import Any

import pytest
from starlette.requests import Request

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

LIMITS = LimitSettings(messages=5, parts=4, id_chars=16, body_bytes=4096)
HI = {"role": "user", "content": "Hi"}


def request(*chunks: bytes, headers: dict[str, str] | None = None) -> Request:
    pending = list(chunks)

    async def receive() -> dict[str, Any]:
        body = pending.pop(0)
        return {"type": "http.request", "body": body, "more_body": bool(pending)}

    raw = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
    return Request({"type": "http", "method": "POST", "headers": raw}, receive)


async def read(body: Any) -> ChatRequest:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return await read_chat_request(request(data), LIMITS)


async def normal(message: dict[str, Any]) -> Message:
    return (await read({"messages": [message, HI]})).history()[0]


async def normal_parts(*parts: dict[str, Any], role: str = "assistant") -> tuple[Part, ...]:
    history = (await read({"messages": [{"role": role, "parts": parts}, HI]})).history()
    return history[0].parts if len(history) == 2 else ()


async def refusal(body: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        await read(body)
    return caught.value


async def test_plain_content_is_a_text() -> None:
    assert await normal(HI) == Message(role="user", parts=(TextPart(text="Hi"),))


async def test_content_may_be_a_list_of_parts() -> None:
    message = {"role": "user", "content": [{"type": "text", "text": "Hi"}]}

    assert await normal(message) == Message(role="user", parts=(TextPart(text="Hi"),))


async def test_parts_go_before_content() -> None:
    message = {"role": "user", "content": "old", "parts": [{"type": "text", "text": "new"}]}

    assert (await normal(message)).parts == (TextPart(text="new"),)


async def test_the_known_parts_are_kept() -> None:
    url = "data:text/plain;base64,aGk="

    assert await normal_parts(
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
async def test_parts_nobody_knows_are_left_out(kind: str) -> None:
    assert await normal_parts({"type": kind, "text": 1, "url": []}) == ()


async def test_keys_nobody_knows_are_left_out() -> None:
    chat = await read({"messages": [{**HI, "mood": 1}], "trigger": "submit-message", "x": {}})

    assert chat.history() == (Message(role="user", parts=(TextPart(text="Hi"),)),)


async def test_messages_that_say_nothing_are_left_out() -> None:
    chat = await read({"messages": [{"role": "assistant", "parts": []}, HI]})

    assert len(chat.history()) == 1


CALL = {"type": "tool-f", "toolCallId": "k", "input": {"a": 1}}
DONE: dict[str, Any] = {"tool_call_id": "k", "tool_name": "f", "input": {"a": 1}}
ANSWERED: list[tuple[dict[str, Any], dict[str, Any]]] = [
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
        {"input": {}, "error_text": "x"},
    ),
    ({"type": "dynamic-tool", "toolName": "g", "state": "output-available"}, {"tool_name": "g"}),
]


@pytest.mark.parametrize(("given", "expected"), ANSWERED)
async def test_a_tool_call_with_its_result_is_kept(
    given: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert await normal_parts({**CALL, **given}) == (ToolPart(**{**DONE, **expected}),)


@pytest.mark.parametrize(
    "state", ["input-streaming", "input-available", "approval-requested", "new-in-ai-8", None]
)
async def test_a_tool_call_without_a_result_is_left_out(state: str | None) -> None:
    assert await normal_parts({**CALL, "state": state}) == ()


async def test_an_approved_call_that_was_not_made_is_left_out() -> None:
    part = {**CALL, "state": "approval-responded", "approval": {"approved": True}}

    assert await normal_parts(part) == ()


async def test_a_request_that_goes_on_with_a_message_says_which() -> None:
    own = {"role": "assistant", "id": "m1", "parts": [{"type": "text", "text": "a"}]}

    assert (await read({"messages": [HI, own]})).continued_message_id == "m1"
    assert (await read({"messages": [own, {**HI, "id": "m2"}]})).continued_message_id is None


CALL_4: dict[str, Any] = {"toolCallId": "k", "toolName": "f", "args": {"a": 1}}
MADE_4: dict[str, Any] = {**CALL_4, "state": "result", "result": [1]}
TOOL = ToolPart(**DONE, output=[1])


@pytest.mark.parametrize(
    "given", [{"toolInvocation": MADE_4}, MADE_4, {"toolInvocation": {**MADE_4, "step": 0, "x": 1}}]
)
async def test_a_tool_invocation_with_its_result_is_a_call(given: dict[str, Any]) -> None:
    assert await normal_parts({"type": "tool-invocation", **given}) == (TOOL,)


@pytest.mark.parametrize("state", ["call", "partial-call"])
async def test_a_tool_invocation_without_a_result_is_left_out(state: str) -> None:
    invocation = {**CALL_4, "state": state}

    for given in ({"toolInvocation": invocation}, invocation):
        assert await normal_parts({"type": "tool-invocation", **given}) == ()


@pytest.mark.parametrize(("result", "error"), [("boom", "boom"), ({"code": 1}, "The tool failed.")])
async def test_a_tool_invocation_that_failed_is_a_failed_call(result: Any, error: str) -> None:
    part = {"type": "tool-invocation", **MADE_4, "result": result, "isError": True}

    assert await normal_parts(part) == (ToolPart(**DONE, error_text=error),)


async def test_a_tool_may_be_named_invocation() -> None:
    part = {**CALL, "type": "tool-invocation", "state": "output-available", "output": [1]}

    assert await normal_parts(part) == (TOOL.model_copy(update={"tool_name": "invocation"}),)


async def test_invocations_beside_the_text_are_calls_before_it() -> None:
    second = {**MADE_4, "toolCallId": "l", "step": 1}
    pending = {**CALL_4, "toolCallId": "m", "state": "call", "step": 2}
    message = {
        "role": "assistant",
        "content": "There.",
        "toolInvocations": [pending, second, MADE_4],
    }

    assert (await normal(message)).parts == (
        TOOL,
        StepStart(),
        TOOL.model_copy(update={"tool_call_id": "l"}),
        StepStart(),
        TextPart(text="There."),
    )


async def test_parts_go_before_invocations_beside_them() -> None:
    message = {
        "role": "assistant",
        "content": "old",
        "parts": [{"type": "tool-invocation", "toolInvocation": MADE_4}],
        "toolInvocations": [MADE_4],
    }

    assert (await normal(message)).parts == (TOOL,)


async def test_files_and_reasoning_of_earlier_clients_are_kept() -> None:
    assert await normal_parts(
        {"type": "reasoning", "reasoning": "hm", "details": []},
        {"type": "file", "mimeType": "text/plain", "data": "aGk="},
    ) == (
        ReasoningPart(text="hm"),
        FilePart(media_type="text/plain", url="data:text/plain;base64,aGk="),
    )
    attachments = [
        {"name": "a", "contentType": "text/plain", "url": "data:,a"},
        {"url": "https://b"},
    ]
    message = {**HI, "experimental_attachments": attachments}
    assert (await normal(message)).parts == (
        FilePart(media_type="text/plain", url="data:,a", filename="a"),
        FilePart(media_type="application/octet-stream", url="https://b"),
        TextPart(text="Hi"),
    )


async def test_content_is_taken_where_the_parts_are_empty() -> None:
    assert (await normal({**HI, "parts": []})).parts == (TextPart(text="Hi"),)


async def test_no_agent_is_the_same_as_none() -> None:
    assert (await read({"messages": [HI], "agent": None, "tools": None})).agent is None


async def test_each_display_tool_is_enabled_once() -> None:
    named = ["generateCard", "generateForm", "generateCard"]

    chat = await read({"messages": [HI], "tools": named})

    assert chat.display_tools() == ("generateCard", "generateForm")


def part(value: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "parts": [{"type": "text", "text": "Hi"}, value]}]}


def file(url: Any) -> dict[str, Any]:
    return part({"type": "file", "mediaType": "text/plain", "url": url})


FILE_URL = "messages[0].parts[1].url"
REFUSED: list[tuple[Any, str | None]] = [
    ([], None),
    ({}, "messages"),
    ({"messages": []}, "messages"),
    ({"messages": [HI, {}]}, "messages[1].role"),
    ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role"),
    ({"messages": [{"role": "user", "content": 1}]}, "messages[0].content"),
    (
        {"messages": [{"role": "user", "content": [{"type": "text"}]}]},
        "messages[0].content[0].text",
    ),
    (part({"type": "text", "text": 1}), "messages[0].parts[1].text"),
    (part({"type": "reasoning", "text": None}), "messages[0].parts[1].text"),
    (part({}), "messages[0].parts[1]"),
    (part(1), "messages[0].parts[1]"),
    (part({"type": "tool-f"}), "messages[0].parts[1].toolCallId"),
    (part({"type": "tool-f", "toolCallId": 1}), "messages[0].parts[1].toolCallId"),
    (part({**CALL, "approval": {"approved": "?"}}), "messages[0].parts[1].approval.approved"),
    (
        part({"type": "tool-invocation", "toolInvocation": 1}),
        "messages[0].parts[1].toolInvocation",
    ),
    (
        part({"type": "tool-invocation", "toolInvocation": {"state": "call", "toolCallId": "k"}}),
        "messages[0].parts[1].toolInvocation.toolName",
    ),
    (
        part({"type": "tool-invocation", "toolInvocation": {**MADE_4, "state": "done"}}),
        "messages[0].parts[1].toolInvocation.state",
    ),
    (
        part({"type": "tool-invocation", "toolName": "f", "state": "call"}),
        "messages[0].parts[1].toolCallId",
    ),
    (
        {"messages": [{**HI, "toolInvocations": [MADE_4, {**MADE_4, "toolName": 1}]}]},
        "messages[0].toolInvocations[1].toolName",
    ),
    ({"messages": [{**HI, "toolInvocations": {}}]}, "messages[0].toolInvocations"),
    (
        {"messages": [{**HI, "experimental_attachments": [{"url": "a.txt"}]}]},
        "messages[0].experimental_attachments[0].url",
    ),
    (
        part({"type": "file", "mimeType": "a,b", "data": ""}),
        "messages[0].parts[1].mimeType",
    ),
    (
        part({"type": "file", "mimeType": "text/plain", "data": "?"}),
        "messages[0].parts[1].data",
    ),
    (part({"type": "file", "url": "data:,"}), "messages[0].parts[1].mediaType"),
    (file(None), FILE_URL),
    (file(""), FILE_URL),
    (file("file:///etc/passwd"), FILE_URL),
    (file("javascript:alert(1)"), FILE_URL),
    (file("data:text/plain"), FILE_URL),
    (file("data:;base64,a"), FILE_URL),
    (file("data:;base64,aGk"), FILE_URL),
    (file("data:;base64,aG k="), FILE_URL),
    (file("data:;base64,häh="), FILE_URL),
    ({"messages": [HI], "id": ""}, "id"),
    ({"messages": [HI], "id": "i" * 17}, "id"),
    ({"messages": [HI], "id": "a\nb"}, "id"),
    ({"messages": [HI], "id": "completions/a"}, "id"),
    ({"messages": [{**HI, "id": "i" * 17}]}, "messages[0].id"),
    ({"messages": [HI], "model": ""}, "model"),
    ({"messages": [HI], "agent": ""}, "agent"),
    ({"messages": [HI], "tools": {}}, "tools"),
    ({"messages": [HI], "tools": ["generateCard", 1]}, "tools[1]"),
    ({"messages": [HI], "supersede": "?"}, "supersede"),
    ({"messages": [HI, {"role": "user", "content": None}]}, "messages[1]"),
]


@pytest.mark.parametrize(("body", "field"), REFUSED, ids=lambda value: str(value)[:50])
async def test_what_is_wrong_is_refused_with_the_path_of_its_field(
    body: Any, field: str | None
) -> None:
    error = await refusal(body)

    assert not isinstance(error, TooLarge)
    assert error.field == field
    assert str(error).startswith(f"{field or 'body'}: ")


@pytest.mark.parametrize("url", ["data:,", "data:,hi%20there", "data:;base64,", "data:a/b,x,y"])
async def test_every_data_url_that_can_be_read_is_taken(url: str) -> None:
    assert await read(file(url))


async def test_the_whole_history_is_asked_for() -> None:
    assert "whole history" in str(await refusal({"id": "a", "message": HI}))


async def test_a_newest_message_alone_is_refused_with_what_to_send() -> None:
    error = await refusal({"id": "a", "message": HI})

    assert error.field == "messages"
    assert "the server does not store it" in str(error)


async def test_whoever_names_what_there_is_not_is_told_what_there_is() -> None:
    chat = await read({"messages": [HI], "tools": ["generateCard", "x"]})

    with pytest.raises(InvalidRequest, match="generateForm, generateChart") as refused:
        chat.display_tools()
    assert refused.value.field == "tools[1]"


TOO_LARGE = [
    ({"messages": [HI] * 6}, "messages"),
    ({"messages": [{"role": "user", "parts": [{"type": "x"}] * 5}]}, "messages[0].parts"),
    ({"messages": [HI, {"role": "user", "content": [0] * 5}]}, "messages[1].content"),
    ({"messages": [{**HI, "toolInvocations": [0] * 5}]}, "messages[0].toolInvocations"),
]


@pytest.mark.parametrize(("body", "field"), TOO_LARGE)
async def test_too_many_of_anything_are_refused(body: Any, field: str) -> None:
    error = await refusal(body)

    assert isinstance(error, TooLarge)
    assert error.field == field


async def test_as_many_as_allowed_are_taken() -> None:
    texts = [{"type": "text", "text": "x"}] * 4

    assert await read({"messages": [{"role": "user", "parts": texts, "id": "i" * 16}] * 5})


async def test_a_body_over_the_limit_is_not_read_to_its_end() -> None:
    with pytest.raises(TooLarge):
        await read_chat_request(request(*[b" " * 1024] * 5, b"unread"), LIMITS)
    with pytest.raises(TooLarge):
        await read_chat_request(request(headers={"content-length": "4097"}), LIMITS)


async def test_a_body_in_pieces_is_put_together() -> None:
    body = json.dumps({"messages": [HI]}).encode()

    assert await read_chat_request(request(body[:7], b"", body[7:]), LIMITS)


@pytest.mark.parametrize("body", [b"", b"{", b"nonsense", b"\xff", b"[" * 1000])
async def test_what_is_not_json_is_refused_as_that(body: bytes) -> None:
    error = await refusal(body)

    assert "not valid JSON" in str(error)
    assert error.field is None


async def test_nested_arguments_have_a_floor() -> None:
    nested: Any = 1
    for _ in range(99):
        nested = [nested]
    assert await read(part({**CALL, "input": {"a": nested}}))

    error = await refusal(part({**CALL, "output": {"a": [[nested]]}}))
    assert error.field == "messages[0].parts[1].output"
    error = await refusal(part({"type": "tool-invocation", **MADE_4, "result": [[nested]]}))
    assert error.field == "messages[0].parts[1].result"
