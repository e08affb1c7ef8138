"""Any body is refused with a code, or its history can be converted to model messages."""

import asyncio
import json
from base64 import b64encode
from itertools import zip_longest
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic_ai.messages import ModelRequest, ToolCallPart, ToolReturnPart
from starlette.requests import Request

from api.chat.request import ChatRequest
from api.chat.validation import read_chat_request
from shared.errors import InvalidRequest
from shared.queue.job import RunChat, dump_job, load_job
from shared.settings import LimitSettings
from worker.agents.history import model_messages

#: Any string of JavaScript, with halves of surrogate pairs.
TEXT = st.text(st.characters(exclude_categories=()), max_size=12)
SCALAR = st.none() | st.booleans() | st.integers() | st.floats() | TEXT
JSON = st.recursive(
    SCALAR, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3)
)
URL = st.one_of(
    TEXT,
    st.builds(
        "{}{}{},{}".format,
        st.sampled_from(["data:", "DATA:", "blob:", "https://a.test/"]),
        st.sampled_from(["", "image/png", "text/csv;charset=utf-16", "text/plain;charset=x"]),
        st.sampled_from(["", ";base64", ";BASE64;a=b", "; base64"]),
        st.binary(max_size=20).map(lambda content: b64encode(content).decode()) | TEXT,
    ),
)
KINDS = st.sampled_from(
    [
        *("text", "reasoning", "file", "step-start", "source-url", "data-x", "custom", "source"),
        *("tool-f", "tool-", "dynamic-tool", "tool-invocation", "tool-call", "tool-result"),
        *("image", "image_url", "input_text", "input_image", "input_file", "input_audio"),
        *("document", "refusal", "thinking", "steering-message", "redacted-reasoning", "x", ""),
        *("tool_use", "tool_result", "tool-approval-response"),
    ]
)
STATES = st.sampled_from(
    [
        *("input-streaming", "input-available", "output-available", "output-error"),
        *("approval-requested", "approval-responded", "output-denied", "streaming", "done"),
        *("call", "partial-call", "result", "x"),
    ]
)


def optional(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=fields)


APPROVAL = optional(id=TEXT, approved=st.booleans() | JSON, reason=TEXT | JSON)
#: Few values, so that calls are often paired with results.
CALL_ID = st.sampled_from(["", "a", "b"]) | TEXT | JSON
OUTPUT = JSON | st.fixed_dictionaries(
    {"type": st.sampled_from(["text", "json", "error-text", "error-json", "content", "x"])},
    optional={"value": JSON | st.lists(optional(type=TEXT, text=TEXT | JSON), max_size=3)},
)
FUNCTION_CALL = optional(
    id=CALL_ID, function=optional(name=TEXT | JSON, arguments=TEXT | JSON) | JSON
)
CALL: dict[str, st.SearchStrategy[Any]] = {
    "toolCallId": CALL_ID,
    "id": CALL_ID,
    "tool_use_id": CALL_ID,
    "name": TEXT | JSON,
    "content": OUTPUT,
    "is_error": st.booleans() | JSON,
    "toolName": TEXT | JSON,
    "state": STATES,
    "input": JSON,
    "args": JSON,
    "rawInput": JSON,
    "output": OUTPUT,
    "result": OUTPUT,
    "errorText": TEXT | JSON,
    "preliminary": st.booleans(),
    "step": st.integers() | JSON,
}
PART = st.fixed_dictionaries(
    {"type": KINDS},
    optional={
        **CALL,
        "text": TEXT | JSON,
        "reasoning": TEXT,
        "refusal": TEXT,
        "url": URL | JSON,
        "data": URL | JSON,
        "image": URL | JSON,
        "image_url": URL | optional(url=URL) | JSON,
        "file_data": URL,
        "file": optional(file_data=URL, filename=TEXT) | JSON,
        "input_audio": optional(data=URL, format=TEXT),
        "source": optional(type=TEXT, data=URL, url=URL, media_type=TEXT) | JSON,
        "mediaType": st.sampled_from(["image/png", "text/plain", "application/pdf", ""]) | JSON,
        "mimeType": TEXT,
        "filename": TEXT | JSON,
        "approval": APPROVAL | JSON,
        "toolInvocation": optional(**CALL) | JSON,
        "providerMetadata": JSON,
    },
)
ROLES = st.sampled_from(["user", "assistant", "assistant", "system", "tool", "data", "developer"])
MESSAGE = st.fixed_dictionaries(
    {"role": ROLES},
    optional={
        "id": TEXT | JSON,
        "content": TEXT | st.lists(PART | JSON, max_size=4) | JSON,
        "parts": st.lists(PART, max_size=6) | JSON,
        "tool_calls": st.lists(FUNCTION_CALL, max_size=3) | JSON,
        "tool_call_id": CALL_ID,
        "toolInvocations": st.lists(optional(**CALL), max_size=3) | JSON,
        "additional_kwargs": optional(tool_calls=st.lists(FUNCTION_CALL, max_size=2)) | JSON,
        "invalid_tool_calls": st.lists(optional(**CALL), max_size=2) | JSON,
        "experimental_attachments": st.lists(optional(url=URL, contentType=TEXT, name=TEXT)) | JSON,
        "metadata": JSON,
        "annotations": JSON,
        "createdAt": JSON,
    },
)
HI = {"role": "user", "content": "Hi"}


async def read(body: bytes) -> ChatRequest:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body}

    return await read_chat_request(
        Request({"type": "http", "method": "POST", "headers": []}, receive), LimitSettings()
    )


def convert(body: bytes) -> ChatRequest | None:
    """Convert a body as API and worker do; return None if it is refused."""
    try:
        chat = asyncio.run(read(body))
    except InvalidRequest:
        return None
    job = RunChat(
        run_id="r",
        chat_id="c",
        message_id="m",
        request_id="q",
        agent="chat",
        model="gpt",
        messages=chat.history(),
    )
    stored = dump_job(job.model_dump(mode="json"))
    received = RunChat.model_validate(load_job(stored))
    check_calls(model_messages(received.messages))
    chat.tool_responses()
    chat.history_before(0)
    chat.model_dump_json(exclude_unset=True, warnings=False)
    return chat


def check_calls(messages: list[Any]) -> None:
    """Each call has its result in the next request, as models require."""
    for message, following in zip_longest(messages, messages[1:]):
        calls: list[Any] = [part for part in message.parts if isinstance(part, ToolCallPart)]
        json.dumps([call.args for call in calls], allow_nan=False).encode()
        if calls:
            assert isinstance(following, ModelRequest)
            returns = [part for part in following.parts if isinstance(part, ToolReturnPart)]
            assert [call.tool_call_id for call in calls] == [part.tool_call_id for part in returns]


FUZZED = settings(suppress_health_check=[HealthCheck.too_slow])


@FUZZED
@given(st.lists(MESSAGE | JSON, max_size=4))
def test_any_history_before_a_question_is_accepted(messages: list[Any]) -> None:
    assert convert(json.dumps({"messages": [*messages, HI]}).encode()) is not None


@FUZZED
@given(st.lists(MESSAGE | JSON, min_size=1, max_size=3))
def test_any_last_message_is_refused_or_converted(messages: list[Any]) -> None:
    convert(json.dumps({"messages": messages}).encode())


@FUZZED
@given(
    JSON | optional(messages=JSON, tools=JSON, clientTools=JSON, id=JSON, system=JSON, model=JSON)
)
def test_any_json_is_refused_or_converted(body: Any) -> None:
    convert(json.dumps(body).encode())


@FUZZED
@given(st.binary(max_size=60), st.integers(0, 60))
def test_damaged_body_is_refused_or_converted(damage: bytes, position: int) -> None:
    body = json.dumps({"messages": [HI, {"role": "user", "content": "\ud83d"}]}).encode()

    convert(body[:position] + damage + body[position + len(damage) :])


@pytest.mark.parametrize("depth", [90, 150, 190])
def test_any_depth_of_an_older_output_is_accepted(depth: int) -> None:
    output = "[" * depth + "]" * depth
    part = '{"type":"tool-f","toolCallId":"k","state":"output-available","output":%s}'
    answer = '{"role":"assistant","parts":[%s]}' % (part % output)

    assert convert(f'{{"messages":[{answer},{json.dumps(HI)}]}}'.encode()) is not None
