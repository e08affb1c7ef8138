"""Messages for servers with strict chat templates."""

from typing import Any, cast

import pytest

from worker.models.chat.message_order import merge_roles, split_parallel_calls, start_with_user

IMAGE = {"type": "image_url", "image_url": {"url": "data:"}}


def text(value: str) -> dict[str, Any]:
    return {"type": "text", "text": value}


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def assistant(content: Any = None, *calls: str, **fields: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": content, **fields}
    return {**message, "tool_calls": [{"id": call} for call in calls]} if calls else message


def result(call_id: str) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": "r"}


def merged(*messages: dict[str, Any]) -> list[Any]:
    return cast("list[Any]", merge_roles(cast("Any", messages)))


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("a", "b", "a\n\nb"),
        ("a", "", "a"),
        ("", [IMAGE], [IMAGE]),
        ("a", [IMAGE, text("b")], [text("a"), IMAGE, text("b")]),
        ([IMAGE], "b", [IMAGE, text("b")]),
        ([text("a")], [text("b")], [text("a"), text("b")]),
    ],
)
def test_consecutive_user_messages_are_merged(first: Any, second: Any, expected: Any) -> None:
    assert merged(user(first), user(second)) == [user(expected)]


def test_consecutive_assistant_messages_are_merged() -> None:
    first, second = assistant("a", reasoning="x"), assistant("b", "c1", reasoning="y")

    assert merged(first, second, result("c1")) == [
        assistant("a\n\nb", "c1", reasoning="x\n\ny"),
        result("c1"),
    ]


def test_other_messages_stay_separate() -> None:
    messages = [
        {"role": "system", "content": "a"},
        {"role": "system", "content": "b"},
        user("c"),
        assistant(None, "c1", "c2"),
        result("c1"),
        result("c2"),
        user("d"),
    ]

    assert merged(*messages) == messages


@pytest.mark.parametrize("before", [[], [{"role": "system", "content": "a"}]])
def test_opening_of_the_assistant_follows_a_user_message(before: list[Any]) -> None:
    messages = [*before, assistant("b"), user("c")]
    ordered: Any = start_with_user(cast("Any", messages))

    assert [message["role"] for message in ordered[len(before) :]] == ["user", "assistant", "user"]
    assert ordered[: len(before)] == before
    assert ordered[len(before)]["content"]


@pytest.mark.parametrize("messages", [[], [user("a")], [user("a"), assistant("b")]])
def test_opening_of_the_user_is_unchanged(messages: Any) -> None:
    assert start_with_user(messages) == messages


def test_parallel_calls_are_split() -> None:
    messages = [assistant("a", "c1", "c2"), result("c1"), result("c2"), user("b")]

    assert split_parallel_calls(cast("Any", messages)) == [
        assistant("a", "c1"),
        result("c1"),
        assistant(None, "c2"),
        result("c2"),
        user("b"),
    ]


def test_call_without_a_result_is_kept() -> None:
    messages = [assistant(None, "c1", "c2"), result("c2")]

    assert split_parallel_calls(cast("Any", messages)) == [
        assistant(None, "c1"),
        assistant(None, "c2"),
        result("c2"),
    ]
