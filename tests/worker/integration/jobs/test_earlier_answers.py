"""Which earlier answers a run sees whole depends on the runs that were live, not on times."""

import pytest

from shared.chat.messages import Message, TextPart
from shared.redis import keys
from shared.redis.client import Redis
from tests.support.system.busy_chat import BusyChat, question, version

HALF = [question(1), version(1, "Hel"), question(2)]
WHOLE = ["Question 1", "Hello world", "Question 2"]


@pytest.fixture
def chat(redis: Redis) -> BusyChat:
    return BusyChat(redis)


async def answer(chat: BusyChat, *numbers: int) -> None:
    for number in numbers:
        await chat.send(number)
        await chat.begin(number)
        await chat.end(number)


@pytest.mark.parametrize("messages", [HALF, [question(1), question(2)]], ids=["half", "missing"])
@pytest.mark.parametrize("hours", [-1, 0, 1])
async def test_waiting_run_sees_the_whole_answer(
    chat: BusyChat, redis: Redis, messages: list[Message], hours: int
) -> None:
    await chat.send(1)
    await chat.begin(1)
    await chat.send(2)
    await chat.end(1)
    await redis.execute_command("HINCRBY", keys.run("run-1"), "ended_at", hours * 3_600_000)

    assert await chat.history(2, *messages) == WHOLE


@pytest.mark.parametrize("ends_first", [False, True])
async def test_stopped_run_hides_no_earlier_answer(
    chat: BusyChat, redis: Redis, *, ends_first: bool
) -> None:
    await chat.send(1)
    await chat.begin(1)
    await chat.send(2)
    await redis.execute_command("HSET", keys.run("run-2"), "state", "cancelled", "ended_at", 1)
    await redis.execute_command("ZREM", keys.QUEUE, "run-2")
    if ends_first:
        await chat.end(1)
    await chat.send(3)
    if not ends_first:
        await chat.end(1)

    history = await chat.history(3, *HALF, question(3))

    assert history == [*WHOLE, "Question 3"]


async def test_answer_that_ended_before_the_admission_is_completed(chat: BusyChat) -> None:
    await answer(chat, 1)
    await chat.send(2)

    assert await chat.history(2, *HALF) == WHOLE


async def test_answer_that_ended_while_another_run_waits_is_completed(chat: BusyChat) -> None:
    await chat.send(1)
    await chat.begin(1)
    await chat.send(2)
    await chat.end(1)
    await chat.send(3)
    await chat.begin(2)
    await chat.end(2)

    history = await chat.history(3, *HALF, question(3))

    assert history == [*WHOLE, "Hello world", "Question 3"]


@pytest.mark.parametrize("text", ["Bye", "Hello world", "Hello world!"])
async def test_ended_answer_is_used_as_the_client_sent_it(chat: BusyChat, text: str) -> None:
    await answer(chat, 1)
    await chat.send(2)

    history = await chat.history(2, question(1), version(1, text), question(2))

    assert history == ["Question 1", text, "Question 2"]


@pytest.mark.parametrize("messages", [HALF, [question(1), question(2)]], ids=["half", "missing"])
async def test_all_answers_that_the_client_lacks_are_completed(
    chat: BusyChat, messages: list[Message]
) -> None:
    await answer(chat, 1, 2)
    await chat.send(3)

    history = await chat.history(3, *messages, question(3))

    assert history == [*WHOLE, "Hello world", "Question 3"]


@pytest.mark.parametrize(
    "messages",
    [
        [question(2)],
        [question(1), question(2), version(2, "Hello world")],
        [question(1), version(1, "Hel"), question(2), version(2, "Hello world")],
        [question(1), version(7, "Hel"), question(2), version(2, "Hello world")],
    ],
    ids=["question removed", "answer removed", "answer shortened", "own id"],
)
async def test_answers_before_a_known_one_are_not_completed(
    chat: BusyChat, messages: list[Message]
) -> None:
    await answer(chat, 1, 2)
    await chat.send(3)

    history = await chat.history(3, *messages, question(3))

    texts = ["".join(part.text for part in m.parts if isinstance(part, TextPart)) for m in messages]
    whole = texts if "Hello world" in texts else [*texts, "Hello world"]
    assert history == [*whole, "Question 3"]


async def test_answer_under_the_id_of_the_client_is_not_added_again(chat: BusyChat) -> None:
    await answer(chat, 1)
    await chat.send(2)

    history = await chat.history(2, question(1), version(7, "Hello world"), question(2))

    assert history == WHOLE


async def test_replaced_answer_is_not_completed(chat: BusyChat) -> None:
    await answer(chat, 1)
    await chat.send(2, answers=1)
    await chat.begin(2)
    await chat.send(3)
    await chat.end(2)

    assert await chat.history(3, question(1), question(3)) == [
        "Question 1",
        "Hello world",
        "Question 3",
    ]


async def test_removed_answer_stays_out_if_its_replacement_never_ran(
    chat: BusyChat, redis: Redis
) -> None:
    await answer(chat, 1)
    await chat.send(2, answers=1)
    await redis.execute_command("HSET", keys.run("run-2"), "state", "cancelled", "ended_at", 1)
    await redis.execute_command("ZREM", keys.QUEUE, "run-2")
    await chat.send(3)

    assert await chat.history(3, question(1), question(3)) == ["Question 1", "Question 3"]


async def test_run_of_an_older_version_sees_the_whole_last_answer(
    chat: BusyChat, redis: Redis
) -> None:
    """Older versions do not store which runs were live."""
    await chat.send(1)
    await chat.begin(1)
    await chat.send(2)
    await redis.execute_command("HDEL", keys.run("run-2"), "waits_for")
    await chat.end(1)

    assert await chat.history(2, *HALF) == WHOLE
