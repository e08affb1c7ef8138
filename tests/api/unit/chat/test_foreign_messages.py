"""Messages of LangChain, Gemini, assistant-ui, the AI SDK 4, and old fields of OpenAI."""

from typing import Any

import pytest

from shared.chat.data_url import decode
from shared.chat.messages import FilePart, Message, ReasoningPart, TextPart, ToolPart
from shared.errors import InvalidRequest
from tests.support.fakes.chat_requests import HI, read_body

PNG = "iVBORw0KGgo="
DATA = f"data:image/png;base64,{PNG}"


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


def named(kind: str, **fields: Any) -> dict[str, Any]:
    """Return a part of Gemini or Bedrock, whose only field is its type."""
    return {kind: fields}


IMAGE = FilePart(media_type="image/png", url=f"data:;base64,{PNG}")
UNTYPED: dict[str, tuple[Any, Any]] = {
    "text": ({"text": "Yes"}, TextPart(text="Yes")),
    "Gemini image": (named("inlineData", mimeType="image/png", data=PNG), IMAGE),
    "Gemini image in snake case": (named("inline_data", mime_type="image/png", data=PNG), IMAGE),
    "Gemini URL": (
        named("fileData", mimeType="image/png", fileUri="https://a.test/a.png"),
        FilePart(media_type="image/png", url="https://a.test/a.png"),
    ),
    "Bedrock image": (named("image", format="png", source={"bytes": PNG}), IMAGE),
    "Bedrock document": (
        named("document", format="md", name="a", source={"bytes": "SGk="}),
        FilePart(media_type="text/markdown", url="data:;base64,SGk=", filename="a"),
    ),
}


@pytest.mark.parametrize(("part", "converted"), UNTYPED.values(), ids=UNTYPED)
@pytest.mark.parametrize("field", ["content", "parts"])
async def test_part_without_a_type_is_recognized(part: Any, converted: Any, field: str) -> None:
    [message] = await history({"role": "user", field: [{"text": "Look"}, part]})

    assert message.parts == (TextPart(text="Look"), converted)


@pytest.mark.parametrize(
    "part",
    [
        {"text": "Hm", "thought": True},
        {"reasoningContent": {"reasoningText": {"text": "Hm", "signature": "s"}}},
    ],
)
async def test_reasoning_without_a_type_is_recognized(part: Any) -> None:
    _, answer, _ = await history(HI, {"role": "model", "parts": [part, {"text": "Yes"}]}, HI)

    assert answer.parts == (ReasoningPart(text="Hm"), TextPart(text="Yes"))


async def test_cache_point_of_bedrock_is_left_out() -> None:
    [message] = await history({"role": "user", "content": [{"text": "Hi"}, {"cachePoint": {}}]})

    assert message.parts == (TextPart(text="Hi"),)


@pytest.mark.parametrize(
    "part", [{"words": "Hi"}, {"inlineData": 1}, {"fileData": {"fileUri": "gs://a/b"}}, {}]
)
async def test_unknown_part_without_a_type_is_refused(part: Any) -> None:
    with pytest.raises(InvalidRequest, match=r"messages\[0\]\.parts\[0\]"):
        await history({"role": "user", "parts": [part, {"text": "Hi"}]})


def model(*parts: Any) -> dict[str, Any]:
    return {"role": "model", "parts": [*parts]}


def assistant(*content: Any, **fields: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": [*content], **fields}


BEDROCK_CALL = named("toolUse", toolUseId="c", name="f", input={"a": 1})
OLLAMA_CALL = {"function": {"name": "f", "arguments": {"a": 1}}}
ITEM_CALL = {"type": "function_call", "call_id": "c", "name": "f", "arguments": '{"a":1}'}
CALLS: dict[str, tuple[list[Any], str, Any]] = {
    "Gemini": (
        [
            model(named("functionCall", name="f", args={"a": 1})),
            {"role": "user", "parts": [named("functionResponse", name="f", response={"b": 2})]},
        ],
        "f",
        {"b": 2},
    ),
    "Bedrock": (
        [
            assistant(BEDROCK_CALL),
            {
                "role": "user",
                "content": [named("toolResult", toolUseId="c", content=[{"json": {"b": 2}}])],
            },
        ],
        "c",
        {"b": 2},
    ),
    "Bedrock text": (
        [
            assistant(BEDROCK_CALL),
            {
                "role": "user",
                "content": [named("toolResult", toolUseId="c", content=[{"text": "21"}])],
            },
        ],
        "c",
        "21",
    ),
    "Ollama": (
        [
            assistant(tool_calls=[OLLAMA_CALL]),
            {"role": "tool", "tool_name": "f", "content": "21"},
        ],
        "f",
        "21",
    ),
    "OpenAI's items": (
        [ITEM_CALL, {"type": "function_call_output", "call_id": "c", "output": "21"}],
        "c",
        "21",
    ),
    "ids that are numbers": (
        [
            assistant(tool_calls=[{**OLLAMA_CALL, "id": 7}]),
            {"role": "tool", "tool_call_id": 7, "content": "21"},
        ],
        "7",
        "21",
    ),
}


@pytest.mark.parametrize(("messages", "call_id", "output"), CALLS.values(), ids=CALLS)
async def test_call_of_another_api_has_its_result(
    messages: list[Any], call_id: str, output: Any
) -> None:
    _, answer, question = await history(HI, *messages, HI)

    call = ToolPart(tool_call_id=call_id, tool_name="f", input={"a": 1}, output=output)
    assert answer == Message(role="assistant", parts=(call,))
    assert question.role == "user"


async def test_failed_result_of_bedrock_is_an_error() -> None:
    result = named("toolResult", toolUseId="c", content=[{"text": "No"}], status="error")

    _, answer = await history(HI, assistant(BEDROCK_CALL), {"role": "user", "content": [result]})
    [call] = answer.parts
    assert isinstance(call, ToolPart)
    assert call.error_text == "No"


async def test_results_of_equal_calls_without_ids_keep_their_order() -> None:
    answer = assistant(tool_calls=[OLLAMA_CALL, OLLAMA_CALL])
    results = [{"role": "tool", "tool_name": "f", "content": text} for text in "ab"]

    _, converted, _ = await history(HI, answer, *results, HI)
    assert [part.output for part in converted.parts if isinstance(part, ToolPart)] == ["a", "b"]


async def test_reasoning_item_of_openai_is_reasoning() -> None:
    summary = [{"type": "summary_text", "text": "Hm"}]
    encrypted: dict[str, Any] = {"type": "reasoning", "summary": [], "encrypted_content": "x"}

    messages = await history(HI, {"type": "reasoning", "summary": summary}, encrypted, HI)
    assert [message.parts for message in messages[1:-1]] == [(ReasoningPart(text="Hm"),)]


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning", "thinking"])
async def test_reasoning_in_any_field_is_kept(field: str) -> None:
    _, answer, _ = await history(HI, {"role": "assistant", "content": "Yes", field: "Hm"}, HI)

    assert ReasoningPart(text="Hm") in answer.parts


@pytest.mark.parametrize(
    "files",
    [
        {"images": [PNG]},
        {"images": [DATA]},
        {"files": [{"type": "image", "url": DATA}]},
        {"files": ["name.png", {"type": "image", "url": DATA}]},
    ],
)
async def test_files_beside_the_content_are_used(files: Any) -> None:
    [message] = await history({**HI, **files})

    text, file = message.parts
    assert text == TextPart(text="Hi")
    assert isinstance(file, FilePart)
    assert file.url.endswith(PNG)


@pytest.mark.parametrize(
    ("files", "path"),
    [
        ({"images": [PNG, "!"]}, "messages[0].images[1].image"),
        ({"files": ["a", {"type": "file", "id": "1"}]}, "messages[0].files[1].url"),
    ],
)
async def test_unusable_file_beside_the_content_is_refused(files: Any, path: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await history({**HI, **files})
    assert caught.value.field == path


SOURCES: list[Any] = [
    {"type": "text", "media_type": "text/plain", "data": "The sky"},
    {"type": "content", "content": "The sky"},
    {"type": "content", "content": [{"type": "text", "text": "The sky"}]},
]


@pytest.mark.parametrize("source", SOURCES)
async def test_text_document_of_anthropic_is_a_file(source: Any) -> None:
    part = {"type": "document", "source": source, "title": "Sky"}

    [message] = await history({"role": "user", "content": [part]})
    [file] = message.parts
    assert isinstance(file, FilePart)
    assert (file.filename, decode(file.url)) == ("Sky", b"The sky")


@pytest.mark.parametrize("system", ["A\n\nB", ["A", "B"], [{"type": "text", "text": "A\n\nB"}]])
async def test_system_message_beside_the_messages_may_be_a_list(system: Any) -> None:
    first, _ = (await read_body({"system": system, "messages": [HI]})).history()

    assert first == Message(role="system", parts=(TextPart(text="A\n\nB"),))


@pytest.mark.parametrize("role", ["USER", "User ", "human"])
async def test_casing_of_a_role_does_not_matter(role: str) -> None:
    assert await history({"role": role, "content": "Hi"}) == await history(HI)
