"""Messages of LangChain, Gemini, assistant-ui, the AI SDK 4, and old fields of OpenAI."""

from typing import Any

import pytest

from shared.chat.messages import FilePart, Message, ReasoningPart, TextPart
from shared.errors import InvalidRequest
from tests.support.fakes.chat_requests import HI, read_body

DATA = "data:image/png;base64,iVBORw0KGgo="


async def history(*messages: Any) -> tuple[Message, ...]:
    chat = await read_body({"messages": messages})
    return chat.history()


def langchain(name: str, **fields: Any) -> dict[str, Any]:
    path = ["langchain_core", "messages", name]
    return {"lc": 1, "type": "constructor", "id": path, "kwargs": fields}


MESSAGES: dict[str, tuple[Any, str]] = {
    "LangChain user": ({"type": "human", "content": "Yes"}, "user"),
    "LangChain assistant": ({"type": "ai", "content": "Yes", "tool_calls": []}, "assistant"),
    "LangChain system": ({"type": "system", "content": "Yes"}, "system"),
    "LangChain role": ({"role": "human", "content": "Yes"}, "user"),
    "LangChain assistant role": ({"role": "ai", "content": "Yes"}, "assistant"),
    "LangChain dictionary": ({"type": "human", "data": {"content": "Yes"}}, "user"),
    "LangChain object": (langchain("HumanMessage", content="Yes"), "user"),
    "LangChain chunk": (langchain("AIMessageChunk", content="Yes"), "assistant"),
    "LangChain refusal": (
        {"type": "ai", "content": "", "additional_kwargs": {"refusal": "Yes"}},
        "assistant",
    ),
    "LangChain texts": ({"type": "human", "content": ["Yes"]}, "user"),
    "Gemini": ({"role": "model", "parts": [{"type": "text", "text": "Yes"}]}, "assistant"),
    "OpenAI developer": ({"role": "developer", "content": "Yes"}, "system"),
    "OpenAI refusal": ({"role": "assistant", "content": None, "refusal": "Yes"}, "assistant"),
    "OpenAI response": (
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Yes"}]},
        "user",
    ),
}


@pytest.mark.parametrize(("message", "role"), MESSAGES.values(), ids=MESSAGES)
async def test_message_of_another_api_is_accepted(message: Any, role: str) -> None:
    first, question = await history(message, HI)

    assert first == Message.model_validate({"role": role, "parts": [TextPart(text="Yes")]})
    assert question.role == "user"


async def test_reasoning_beside_the_content_is_kept() -> None:
    answer = {"role": "assistant", "content": "Yes", "reasoning_content": "Hm"}

    _, converted, _ = await history(HI, answer, HI)
    assert converted.parts == (TextPart(text="Yes"), ReasoningPart(text="Hm"))


async def test_reasoning_in_fields_of_langchain_is_kept() -> None:
    kept = {"reasoning_content": "Hm", "function_call": None}
    answer = {"type": "ai", "content": "Yes", "additional_kwargs": kept}

    _, converted, _ = await history(HI, answer, HI)
    assert converted.parts == (TextPart(text="Yes"), ReasoningPart(text="Hm"))


async def test_data_message_of_the_ai_sdk_4_is_left_out() -> None:
    messages = await history(HI, {"role": "data", "content": "", "data": {"x": 1}}, HI)

    assert messages == await history(HI, HI)


async def test_steering_message_is_one_of_the_user() -> None:
    def text(value: str) -> dict[str, Any]:
        return {"type": "text", "text": value}

    steering = {"type": "steering-message", "id": "s", "parts": [text("Be brief")]}
    answer = {"id": "m", "role": "assistant", "parts": [text("Well"), steering, text("Yes")]}

    messages = await history(HI, answer, HI)
    assert [(message.role, message.parts) for message in messages[1:-1]] == [
        ("assistant", (TextPart(text="Well"),)),
        ("user", (TextPart(text="Be brief"),)),
        ("assistant", (TextPart(text="Yes"),)),
    ]


async def test_file_of_a_steering_message_is_accepted() -> None:
    file = {"type": "file", "mediaType": "image/png", "url": DATA}
    steering = {"type": "steering-message", "id": "s", "parts": [file]}

    *_, last = await history(HI, {"role": "assistant", "parts": [steering]})
    assert last == Message(role="user", parts=(FilePart(media_type="image/png", url=DATA),))


def steering(*parts: Any) -> dict[str, Any]:
    return {"type": "steering-message", "id": "s", "parts": parts}


TEXT = {"type": "text", "text": "Well"}
BROKEN = {"type": "file", "mediaType": "image/png", "url": "blob:1"}
CALL: dict[str, Any] = {"type": "tool-f", "state": "output-available", "output": 1}
AFTER_STEERING: dict[str, tuple[Any, str]] = {
    "message": ({"role": "user", "parts": [TEXT, BROKEN]}, "messages[2].parts[1].url"),
    "empty message": ({"role": "user", "content": ""}, "messages[2]"),
    "invalid message": ({"role": "critic"}, "messages[2].role"),
    "steering message": (
        {"role": "assistant", "parts": [TEXT, TEXT, steering(TEXT, BROKEN)]},
        "messages[2].parts[2].parts[1].url",
    ),
    "steering message without a list": (
        {"role": "assistant", "parts": [TEXT, {"type": "steering-message", "parts": 5}]},
        "messages[2].parts[1].parts",
    ),
    "part after a steering message": (
        {"role": "assistant", "parts": [TEXT, steering(TEXT), TEXT, CALL]},
        "messages[2].parts[3].toolCallId",
    ),
}


@pytest.mark.parametrize(("last", "field"), AFTER_STEERING.values(), ids=AFTER_STEERING)
async def test_refusal_after_a_steering_message_names_the_sent_index(last: Any, field: str) -> None:
    answer = {"role": "assistant", "parts": [TEXT, steering(TEXT), TEXT, steering(TEXT), TEXT]}

    with pytest.raises(InvalidRequest) as caught:
        await history(HI, answer, last)
    assert caught.value.field == field


async def test_tool_response_after_steering_names_the_sent_index() -> None:
    call = {**CALL, "toolCallId": "k"}
    answer = {"role": "assistant", "parts": [TEXT, steering(TEXT), TEXT, call]}
    chat = await read_body({"messages": [HI, answer]})
    [response] = chat.tool_responses()
    assert response.field_path == "messages[1].parts[3]"


async def test_part_of_an_attachment_is_refused_with_the_sent_index() -> None:
    files = [attachment({"type": "text", "text": "a"}, TEXT), attachment(TEXT, BROKEN)]

    with pytest.raises(InvalidRequest) as caught:
        await history({"role": "user", "content": "Look", "attachments": files})
    assert caught.value.field == "messages[0].attachments[1].content[1].url"


def attachment(*content: Any) -> dict[str, Any]:
    return {"id": "1", "type": "image", "name": "a.png", "contentType": "image/png"} | (
        {"content": [*content]} if content else {}
    )


ATTACHED: dict[str, tuple[Any, Any]] = {
    "image": (
        {"type": "image", "image": DATA},
        FilePart(media_type="image/png;base64", url=DATA, filename="a.png"),
    ),
    "file": (
        {"type": "file", "data": DATA, "mimeType": "image/png"},
        FilePart(media_type="image/png", url=DATA, filename="a.png"),
    ),
    "text": ({"type": "text", "text": "<attachment>"}, TextPart(text="<attachment>")),
}


@pytest.mark.parametrize(("part", "expected"), ATTACHED.values(), ids=ATTACHED)
async def test_attachment_of_assistant_ui_is_accepted(part: Any, expected: Any) -> None:
    text = {"type": "text", "text": "Look"}
    message = {"role": "user", "content": [text], "attachments": [attachment(part)]}

    [converted] = await history(message)
    assert converted.parts == (TextPart(text="Look"), expected)


async def test_attachment_without_content_is_refused_by_name() -> None:
    message = {"role": "user", "content": "Look", "attachments": [attachment()]}

    with pytest.raises(InvalidRequest) as caught:
        await history(message)
    assert caught.value.field == "messages[0].attachments[0].image"


async def test_file_of_a_system_message_has_a_note() -> None:
    file = {"type": "file", "mediaType": "image/png", "url": DATA, "filename": "a.png"}

    system, _ = await history({"role": "system", "parts": [file]}, HI)
    [note] = system.parts
    assert isinstance(note, TextPart)
    assert "the file “a.png”" in note.text
    assert "can only contain texts" in note.text


ODD: list[Any] = [
    {"type": "constructor", "id": [], "kwargs": {}},
    {"type": "constructor", "id": "HumanMessage", "kwargs": 1},
    {"type": "constructor", "id": [{}], "kwargs": {"content": "Hi"}},
    {"type": ["human"], "content": "Hi"},
    {"type": "human", "data": "Hi"},
    {"role": ["user"], "content": "Hi"},
    {"role": "function", "name": {}, "content": "Hi"},
    {"role": "assistant", "function_call": {}},
    {"role": "assistant", "refusal": 5},
    {"role": "user", "attachments": [5]},
    {"role": "user", "attachments": [{"content": [5]}]},
    {"role": "user", "attachments": {}},
    {"role": "assistant", "tool_calls": [5, {"name": 5}]},
    {"type": "ai", "additional_kwargs": {"tool_calls": [5, {"id": []}]}},
    {"type": "ai", "invalid_tool_calls": [5, {}], "tool_calls": {}, "additional_kwargs": 5},
    {"role": "assistant", "parts": [{"type": "steering-message", "parts": 5}]},
]


@pytest.mark.parametrize("message", ODD)
async def test_odd_message_is_left_out_with_a_note(message: Any) -> None:
    _, (_, left_out), _ = [(m.role, m.parts) for m in await history(HI, message, HI)]

    assert all("eft out" in part.text for part in left_out if isinstance(part, TextPart))
    assert left_out
