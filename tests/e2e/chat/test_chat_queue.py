"""Messages that are sent while their chat has a live run, with `whenBusy: "queue"`."""

import pytest

from tests.support.ai_client.driver import AiClient
from tests.support.sse_client import Json, SseClient, Stream, check_whole, text, types
from tests.support.system.running_system import System

pytestmark = pytest.mark.asyncio(loop_scope="session")

#: The first answer waits in its middle; later ones do not, because the wait is then open.
ANSWERS: list[list[Json]] = [[{"text": ["Hello"]}, {"wait": True}, {"text": [" world"]}]]


@pytest.fixture
async def model(system: System, name: str) -> str:
    await system.upstream.script(name, ANSWERS)
    return name


def user(number: int) -> Json:
    parts = [{"type": "text", "text": f"Question {number}"}]
    return {"id": f"u{number}", "role": "user", "parts": parts}


def half(stream: Stream) -> Json:
    parts = [{"type": "text", "text": "Hel"}]
    return {"id": f"msg_{stream.run_id}", "role": "assistant", "parts": parts}


def wait_behind(model: str, *messages: Json) -> Json:
    return {"model": model, "whenBusy": "queue", "messages": list(messages)}


async def conversations(system: System, model: str) -> list[list[str]]:
    """The texts that the model received with each request, without the system prompt."""
    requests = await system.upstream.requests(model)
    return [
        [
            message["content"]
            for message in request["body"]["messages"]
            if message["role"] != "system"
        ]
        for request in requests
    ]


async def test_messages_mid_answer_see_the_whole_earlier_answers(
    system: System, sse: SseClient, model: str
) -> None:
    async with sse.ask(system.chat, model, **wait_behind(model, user(1))) as first:
        await first.until("text-delta")
        history = [user(1), half(first), user(2)]
        async with (
            sse.ask(system.other_chat, model, **wait_behind(model, *history)) as second,
            sse.ask(system.chat, model, **wait_behind(model, *history, user(3))) as third,
        ):
            waiting = (await third.queue_position())["data"]
            await system.upstream.release(model)
            answers = [await stream.rest() for stream in (second, third)]

    assert waiting == {"position": 2, "waiting": 2, "behind": "chat"}
    for answer in answers:
        check_whole(answer)
    known = ["Question 1", "Hello world", "Question 2", "Hello world", "Question 3"]
    assert await conversations(system, model) == [known[:1], known[:3], known]


async def test_stop_ends_the_live_run_and_starts_the_next(
    system: System, sse: SseClient, model: str
) -> None:
    async with sse.ask(system.chat, model, **wait_behind(model, user(1))) as first:
        await first.until("text-delta")
        async with sse.ask(
            system.other_chat, model, **wait_behind(model, user(1), user(2))
        ) as second:
            stopped = await sse.stop(system.other_chat, model)
            await system.upstream.release(model)
            answer = await second.rest()

    assert stopped.json() == {"run_id": first.run_id, "state": "cancelled"}
    check_whole(answer)
    assert (await conversations(system, model))[1] == ["Question 1", "Hello", "Question 2"]


async def test_stop_with_queued_ends_all_runs(system: System, sse: SseClient, model: str) -> None:
    async with sse.ask(system.chat, model, **wait_behind(model, user(1))) as first:
        await first.until("text-delta")
        async with (
            sse.ask(system.other_chat, model, **wait_behind(model, user(2))) as second,
            sse.ask(system.chat, model, **wait_behind(model, user(3))) as third,
        ):
            stopped = await sse.stop(system.chat, model, queued=True)
            answers = [await stream.rest() for stream in (second, third)]

    assert stopped.json()["run_id"] == first.run_id
    for answer in answers:
        check_whole(answer, ending="abort")
        assert types(answer) == ["start", "abort"]
    assert len(await system.upstream.requests(model)) == 1


async def test_edit_replaces_the_live_and_the_waiting_runs(
    system: System, sse: SseClient, model: str
) -> None:
    async with sse.ask(system.chat, model, **wait_behind(model, user(1))) as first:
        events = await first.until("text-delta")
        async with (
            sse.ask(system.other_chat, model, **wait_behind(model, user(1), user(2))) as second,
            sse.ask(system.chat, model, **wait_behind(model, user(1)), messageId="u1") as edited,
        ):
            events += await first.rest()
            aborted = await second.rest()
            await system.upstream.release(model)
            answer = await edited.rest()

    check_whole(events, ending="abort")
    check_whole(aborted, ending="abort")
    check_whole(answer)


async def test_chat_is_resumed_at_its_live_run(system: System, sse: SseClient, model: str) -> None:
    async with sse.ask(system.chat, model, **wait_behind(model, user(1))) as first:
        events = await first.until("text-delta")
        history = [user(1), user(2)]
        async with sse.ask(system.chat, model, **wait_behind(model, *history)) as second:
            async with sse.follow(system.other_chat, model) as resumed:
                assert await resumed.until("text-delta") == events
                await system.upstream.release(model)
                assert text(await resumed.rest()) == " world"
            check_whole(await second.rest())


async def test_real_client_sends_five_messages_mid_answer(
    system: System, ai: AiClient, model: str
) -> None:
    texts = [f"Question {number}" for number in range(1, 7)]

    result = await ai.send(
        ai="7",
        api=system.chat,
        chat=model,
        text=texts[0],
        mid_answer=texts[1:],
        release_url=f"{system.upstream.url}/release/{model}",
        body={"model": model, "whenBusy": "queue"},
    )

    assert (result.status, result.error) == ("ready", None)
    assert [request.status for request in result.requests] == [200] * 6
    for chunks in result.chunks:
        assert [c["type"] for c in chunks if c["type"] in ("start", "finish")] == [
            "start",
            "finish",
        ]
        assert "".join(c["delta"] for c in chunks if c["type"] == "text-delta") == "Hello world"
    answers = [m["id"] for m in result.messages if m["role"] == "assistant"]
    assert len(set(answers)) == len(answers) == 6
    known = [part for text in texts for part in (text, "Hello world")]
    received = await conversations(system, model)
    assert received == [known[: 2 * number + 1] for number in range(6)]
