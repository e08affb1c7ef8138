"""Conversion of a request's messages to model messages."""

from typing import Any

import pytest
from pydantic_ai.messages import (
    AudioUrl,
    BinaryContent,
    DocumentUrl,
    ImageUrl,
    ModelRequest,
    ModelResponse,
    SystemPromptPart,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
    VideoUrl,
)

from shared.chat import messages as chat
from worker.agents.history import model_messages


def text(content: str) -> chat.TextPart:
    return chat.TextPart(text=content)


def message(role: chat.Role, *parts: chat.Part) -> chat.Message:
    return chat.Message(role=role, parts=parts)


def call(number: int, **result: Any) -> chat.ToolPart:
    return chat.ToolPart(
        tool_call_id=f"call-{number}", tool_name="f", input={"n": number}, **result
    )


def shape(*messages: chat.Message) -> list[tuple[type, list[Any]]]:
    """Return the class and the parts of each message, without timestamps."""
    return [(type(m), [_plain(part) for part in m.parts]) for m in model_messages(messages)]


def _plain(part: Any) -> Any:
    match part:
        case UserPromptPart() | SystemPromptPart() | TextPart():
            return part.content
        case ToolCallPart():
            return (part.tool_name, part.args, part.tool_call_id)
        case ToolReturnPart():
            return (part.tool_name, part.content, part.tool_call_id, part.outcome)
        case _:
            return part


def user_content(*parts: chat.Part) -> Any:
    [(_, [content])] = shape(message("user", *parts))
    return content


def test_text_messages_are_converted() -> None:
    assert shape(
        message("system", text("Be brief."), text("Be kind.")),
        message("user", text("Hi")),
        message("assistant", text("Hel"), text("lo")),
        message("user", text("Bye")),
    ) == [
        (ModelRequest, ["Be brief.\n\nBe kind."]),
        (ModelRequest, ["Hi"]),
        (ModelResponse, ["Hello"]),
        (ModelRequest, ["Bye"]),
    ]


def test_reasoning_comes_before_the_text_of_its_step() -> None:
    metadata = {"provider": "p", "field": "reasoning", "details": {"a": 1}}
    reasoning = chat.ReasoningPart(text="hm", metadata=metadata)

    [(_, [thinking, answer])] = shape(message("assistant", text("Hello"), reasoning))
    assert (thinking.content, thinking.id, thinking.provider_name) == ("hm", "reasoning", "p")
    assert thinking.provider_details == {"a": 1}
    assert answer == "Hello"


def test_step_with_only_reasoning_is_left_out() -> None:
    assert shape(message("assistant", chat.ReasoningPart(text="hm"))) == []


@pytest.mark.parametrize("metadata", [{}, {"provider": 1, "field": [], "details": "x"}])
def test_metadata_of_wrong_types_is_ignored(metadata: dict[str, Any]) -> None:
    reasoning = chat.ReasoningPart(text="hm", metadata=metadata)

    [(_, [thinking, _])] = shape(message("assistant", reasoning, text("Hello")))
    assert (thinking.id, thinking.provider_name, thinking.provider_details) == (None, None, None)


def test_each_step_becomes_a_separate_response() -> None:
    step = chat.StepStart()

    assert shape(
        message("assistant", step, text("a"), call(1, output=5), step, text("b"), step)
    ) == [
        (ModelResponse, ["a", ("f", {"n": 1}, "call-1")]),
        (ModelRequest, [("f", 5, "call-1", "success")]),
        (ModelResponse, ["b"]),
    ]


def test_results_of_one_step_share_a_request() -> None:
    assert shape(message("assistant", call(1, output=5), call(2, error_text="boom"))) == [
        (ModelResponse, [("f", {"n": 1}, "call-1"), ("f", {"n": 2}, "call-2")]),
        (ModelRequest, [("f", 5, "call-1", "success"), ("f", "boom", "call-2", "failed")]),
    ]


def test_denied_call_reaches_the_model() -> None:
    denied = call(1, error_text="The user denied this call.")

    *_, (_, [answer]) = shape(message("assistant", denied))
    assert answer == ("f", "The user denied this call.", "call-1", "failed")


def test_null_output_is_a_result() -> None:
    *_, (_, [answer]) = shape(message("assistant", call(1, output=None)))

    assert answer == ("f", None, "call-1", "success")


@pytest.mark.parametrize(
    ("url", "content"),
    [
        ("data:text/plain;base64,aGk=", b"hi"),
        ("data:text/plain;charset=utf-8;base64,aGk%3D", b"hi"),
        ("data:text/plain,h%69%20there", b"hi there"),
        ("data:,", b""),
        ("data:,%C3%A9", "é".encode()),
        ("data:,%E9", "é".encode()),
    ],
)
def test_data_url_is_decoded(url: str, content: bytes) -> None:
    part = chat.FilePart(media_type="text/plain", url=url)

    assert user_content(part) == [BinaryContent(content, media_type="text/plain")]


@pytest.mark.parametrize("media_type", ["text/csv", "application/json", "image/svg+xml"])
def test_text_file_is_converted_to_utf_8(media_type: str) -> None:
    part = chat.FilePart(media_type=media_type, url="data:,%E9")

    assert user_content(part) == [BinaryContent("é".encode(), media_type=media_type)]


@pytest.mark.parametrize(
    ("media_type", "kind"),
    [
        ("image/png", ImageUrl),
        ("audio/wav", AudioUrl),
        ("video/mp4", VideoUrl),
        ("application/pdf", DocumentUrl),
        ("application/nonsense", DocumentUrl),
    ],
)
def test_url_type_follows_the_media_type(
    media_type: str, kind: type[ImageUrl | AudioUrl | VideoUrl | DocumentUrl]
) -> None:
    [content] = user_content(chat.FilePart(media_type=media_type, url="https://a.test/x"))

    assert type(content) is kind
    assert (content.url, content.media_type) == ("https://a.test/x", media_type)


def test_type_without_a_subtype_is_unknown() -> None:
    [content] = user_content(chat.FilePart(media_type="image", url="https://a.test/x"))

    assert isinstance(content, DocumentUrl)
    assert content.media_type == "application/octet-stream"


@pytest.mark.parametrize("media_type", ["text", "text/*", "x/json", "model/x+yaml", "message/json"])
def test_text_of_an_unusual_type_is_plain_text(media_type: str) -> None:
    part = chat.FilePart(media_type=media_type, url="data:,{}")

    assert user_content(part) == [BinaryContent(b"{}", media_type="text/plain")]


def test_order_of_texts_and_files_is_kept() -> None:
    part = chat.FilePart(media_type="text/plain", url="data:,a")
    content = BinaryContent(b"a", media_type="text/plain")

    assert user_content(text("Compare"), part, text("with"), part, text("Briefly.")) == [
        "Compare",
        content,
        "with",
        content,
        "Briefly.",
    ]


def test_texts_of_a_user_message_are_not_joined_into_one_word() -> None:
    assert user_content(text("First"), text("Second")) == "First\n\nSecond"


@pytest.mark.parametrize(
    ("media_type", "url"),
    [
        ("text/csv", "data:text/csv;charset=cp437;base64,gQ=="),
        ("text/csv; charset=cp437", "data:,%81"),
    ],
)
def test_charset_of_a_text_file_is_used(media_type: str, url: str) -> None:
    [content] = user_content(chat.FilePart(media_type=media_type, url=url))

    assert content.data == "ü".encode()


def test_assistant_files_are_omitted() -> None:
    part = chat.FilePart(media_type="text/plain", url="data:,a")

    assert shape(message("assistant", part, text("a"))) == [(ModelResponse, ["a"])]
