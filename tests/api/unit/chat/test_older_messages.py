"""Parts that are refused in a new message are left out of older ones, with a note for the model."""

from typing import Any

import pytest

from shared.chat.messages import Message, TextPart, ToolPart
from shared.errors import InvalidRequest, TooLarge, UnsupportedContent
from shared.settings import LimitSettings
from tests.support.fakes.chat_requests import ANSWER, CALL, HI, read_body

LIMITS = LimitSettings(messages=20, parts=4, files=2, file_bytes=100, values=50)
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"


async def history(*messages: Any) -> tuple[Message, ...]:
    chat = await read_body({"messages": messages}, LIMITS)
    return chat.history()


def file(media_type: str = "text/plain", url: str = "data:,a", **fields: Any) -> dict[str, Any]:
    return {"type": "file", "mediaType": media_type, "url": url, **fields}


def user(*parts: Any) -> dict[str, Any]:
    return {"role": "user", "parts": [{"type": "text", "text": "Look"}, *parts]}


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


DEEP = nested(150)
COMPLETE = {**CALL, "state": "output-available", "output": 1}
RESULT: dict[str, Any] = {
    "state": "result",
    "toolCallId": "k",
    "toolName": "f",
    "args": {},
    "result": 1,
}
NOT_THE_ASSISTANTS = "The call of “f” is not in a message of the assistant."
#: Parts of a user, with the error that they cause in a new message and a word of the note.
UNUSABLE: dict[str, tuple[Any, type[InvalidRequest], str, str]] = {
    "docx": (
        file(DOCX, "data:;base64,UEsDBAAAAAA=", filename="report.docx"),
        UnsupportedContent,
        "parts[1].mediaType",
        "“report.docx”",
    ),
    "archive at a URL": (
        file("application/zip", "https://a.test/a.zip"),
        UnsupportedContent,
        "parts[1].mediaType",
        "application/zip",
    ),
    "too large": (file(url="data:," + "a" * 101), TooLarge, "parts[1]", "exceeds 100 bytes"),
    "broken base64": (file(url="data:;base64,?"), InvalidRequest, "parts[1].url", "decoded"),
    "blob URL": (file(url="blob:https://a.test/1"), InvalidRequest, "parts[1].url", "https:"),
    "no URL": (
        {"type": "file", "mediaType": "text/plain", "filename": "a.txt"},
        InvalidRequest,
        "parts[1].url",
        "“a.txt”",
    ),
    "file by id": (
        {"type": "file", "file": {"file_id": "file-1"}},
        InvalidRequest,
        "parts[1].file.file_data",
        "“file”",
    ),
    "unknown type": ({"type": "hologram"}, InvalidRequest, "parts[1]", "“hologram”"),
    "no type": ({"words": "Hi"}, InvalidRequest, "parts[1]", "a part"),
    "no object": (7, InvalidRequest, "parts[1]", "a part"),
    "text that is none": ({"type": "text", "text": 1}, InvalidRequest, "parts[1].text", "“text”"),
    "call without an id": (
        {"type": "tool-f", "input": {}},
        InvalidRequest,
        "parts[1].toolCallId",
        "“tool-f”",
    ),
    "deep input": ({**CALL, "input": DEEP}, InvalidRequest, "parts[1].input", "Nested deeper"),
    "call": (COMPLETE, InvalidRequest, "parts[1]", NOT_THE_ASSISTANTS),
    "call without a result": (CALL, InvalidRequest, "parts[1]", NOT_THE_ASSISTANTS),
    "call of the AI SDK 4": (
        {"type": "tool-invocation", "toolInvocation": RESULT},
        InvalidRequest,
        "parts[1]",
        NOT_THE_ASSISTANTS,
    ),
    "reasoning": (
        {"type": "reasoning", "text": "Hm"},
        InvalidRequest,
        "parts[1]",
        "Only answers can contain reasoning.",
    ),
    "many values": ({**CALL, "input": [0] * 51}, TooLarge, "parts[1]", "50 values"),
}


@pytest.mark.parametrize(("part", "error", "field", "_"), UNUSABLE.values(), ids=UNUSABLE)
async def test_new_message_with_an_unusable_part_is_refused(
    part: Any, error: type[InvalidRequest], field: str, _: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await history(HI, user(part))

    assert type(caught.value) is error
    assert caught.value.field == f"messages[1].{field}"
    assert str(caught.value).startswith(f"messages[1].{field}: ")


@pytest.mark.parametrize(("part", "_", "__", "word"), UNUSABLE.values(), ids=UNUSABLE)
async def test_older_message_with_an_unusable_part_has_a_note(
    part: Any, _: type, __: str, word: str
) -> None:
    older, _answer, _new = await history(user(part), ANSWER, HI)

    text, note = older.parts
    assert text == TextPart(text="Look")
    assert isinstance(note, TextPart)
    assert note.text.startswith("[Left out of this message: ")
    assert word in note.text


async def test_call_beside_the_content_of_a_user_has_a_note() -> None:
    message = {"role": "user", "content": "Look", "toolInvocations": [RESULT]}

    older, _ = await history(message, HI)
    assert older.parts[-1] == TextPart(text="Look")
    assert NOT_THE_ASSISTANTS in str(older.parts[0])


async def test_unknown_part_of_a_system_message_has_a_note() -> None:
    system, _ = await history({"role": "system", "parts": [{"type": "hologram"}]}, HI)

    [note] = system.parts
    assert "“hologram”" in str(note)


async def test_files_above_the_limit_are_left_out_of_older_messages() -> None:
    with pytest.raises(TooLarge) as caught:
        await history(user(file(), file(), file()))
    assert caught.value.field == "messages[0].parts[3]"

    older, _ = await history(user(file(), file(), file(filename="c.txt")), HI)
    assert [part.type for part in older.parts] == ["text", "file", "file", "text"]
    assert older.parts[-1] == TextPart(
        text="[Left out of this message: the file “c.txt”. At most 2 files per message.]"
    )


@pytest.mark.parametrize(
    ("message", "field", "reason"),
    [
        ({"role": "critic", "content": "Hi"}, "messages[1].role", "'system', 'user'"),
        ({"content": "Hi"}, "messages[1].role", "Field required"),
        ("Hi", "messages[1]", "object"),
        (None, "messages[1]", "object"),
        ({"role": "user", "content": 1}, "messages[1].content", "string"),
        ({"role": "user", "content": {"text": "Hi"}}, "messages[1].content", "string"),
        ({"role": "user", "parts": "Hi"}, "messages[1].parts", "list"),
        ({"role": "user", "parts": [{"type": "x"}] * 5}, "messages[1].parts", "At most 4 parts"),
        ({"role": "user", "content": "Hi", "experimental_attachments": {}}, None, "list"),
    ],
)
async def test_older_message_that_is_invalid_has_a_note(
    message: Any, field: str | None, reason: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await history(HI, message)
    assert caught.value.field == field or field is None

    _, older, _ = await history(HI, message, HI)
    assert isinstance(older.parts[0], TextPart)
    assert "eft out" in older.parts[0].text
    assert reason in older.parts[0].text


@pytest.mark.parametrize("message_id", [None, 7, 1.5, [], {}, "i" * 5000, "a\nb"])
async def test_ids_of_older_messages_do_not_matter(message_id: Any) -> None:
    assert len(await history({**HI, "id": message_id}, {**ANSWER, "id": message_id}, HI)) == 3


async def test_equal_notes_of_a_message_appear_once() -> None:
    older, _ = await history(user({"type": "x"}, {"type": "x"}, {"type": "y"}), HI)

    assert len(older.parts) == 3


async def test_oldest_tool_calls_beyond_the_value_limit_are_left_out() -> None:
    call = {**CALL, "state": "output-available", "output": [0] * 20}
    answer = {"role": "assistant", "parts": [call]}

    old, _, middle, _, new, _ = await history(answer, HI, answer, HI, answer, HI)
    assert [message.parts[0].type for message in (old, middle, new)] == ["text", "tool", "tool"]


CALLS = [
    {**CALL, "toolCallId": f"c{n}", "state": "output-available", "output": [0] * 20}
    for n in range(3)
]
STEPS = {"parts": [CALLS[0], {"type": "step-start"}, *CALLS[1:]]}
INVOCATION = {"toolName": "f", "state": "result", "result": [0] * 20}
STEPS_V4 = {
    "content": "",
    "toolInvocations": [{**INVOCATION, "toolCallId": f"c{n}", "step": n} for n in range(3)],
}


@pytest.mark.parametrize(
    ("answer", "newer"), [(STEPS, []), (STEPS, [HI]), (STEPS_V4, [HI])], ids=["last", "older", "v4"]
)
async def test_newest_tool_calls_of_a_long_answer_are_kept(answer: Any, newer: list[Any]) -> None:
    _, kept, *_ = await history(HI, {"role": "assistant", **answer}, *newer)

    calls = [part.tool_call_id for part in kept.parts if isinstance(part, ToolPart)]
    assert calls == ["c1", "c2"]
    [note] = [part for part in kept.parts if isinstance(part, TextPart)]
    assert "50 values" in note.text


@pytest.mark.parametrize("kind", ["data-map", "source-url", "source", "custom", "reasoning-file"])
async def test_parts_for_the_client_are_accepted_in_a_new_message(kind: str) -> None:
    [new] = await history(user({"type": kind, "data": {}}))

    assert new.parts == (TextPart(text="Look"),)


@pytest.mark.parametrize(
    "part",
    [
        {"type": "hologram"},
        {"type": "file"},
        file("application/zip"),
        {"type": "reasoning", "text": None},
    ],
)
async def test_assistant_parts_that_models_never_receive_need_no_note(part: Any) -> None:
    answer = {"role": "assistant", "parts": [{"type": "text", "text": "Hello"}, part]}

    _, older, _ = await history(HI, answer, HI)
    assert [kept.type for kept in older.parts if kept.type != "file"] == ["text"]


UNANSWERED: dict[str, list[Any]] = {
    "no parts": [],
    "step without content": [{"type": "step-start"}],
    "blank text": [{"type": "text", "text": "", "state": "streaming"}],
    "reasoning": [{"type": "reasoning", "text": "Hm", "state": "streaming"}],
    "unfinished input": [{**CALL, "state": "input-streaming", "input": None, "rawInput": '{"a":'}],
    "call without an output": [{**CALL, "state": "input-available"}],
    "approval without an answer": [
        {**CALL, "state": "approval-requested", "approval": {"id": "a"}}
    ],
    "dynamic tool": [
        {"type": "dynamic-tool", "toolName": "f", "toolCallId": "k", "state": "input-streaming"}
    ],
    "data": [{"type": "data-x", "data": 1}],
}


@pytest.mark.parametrize("parts", UNANSWERED.values(), ids=UNANSWERED)
async def test_chat_continues_after_an_unfinished_answer(parts: list[Any]) -> None:
    answer = {"role": "assistant", "id": "m1", "parts": parts}

    next_question = await history(HI, answer, HI)
    same_question = await history(HI, answer)
    assert (next_question[0], next_question[-1]) == (same_question[0], same_question[0])


async def test_approval_without_the_history_is_accepted() -> None:
    call = {**CALL, "state": "approval-responded", "approval": {"id": "a", "approved": True}}

    assert await history({"role": "assistant", "parts": [{"type": "step-start"}, call]})


async def test_chat_with_nothing_to_answer_is_refused() -> None:
    reasoning = {"type": "reasoning", "text": "Hm"}
    empty: list[Any] = [
        {"role": "assistant", "parts": []},
        {"role": "assistant", "parts": [{"type": "step-start"}, reasoning]},
        {"role": "user", "content": " \n"},
    ]
    for message in empty:
        with pytest.raises(InvalidRequest, match="is empty"):
            await history(message)
