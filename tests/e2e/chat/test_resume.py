"""Resume after a cut at any event: the events before and after it are the whole answer."""

import asyncio
from collections.abc import Sequence

import pytest

from tests.support.ai_client.driver import VERSIONS, AiClient, Result, Version
from tests.support.sse_client import (
    DONE,
    Json,
    SseClient,
    SseEvent,
    check_whole,
    chunks,
    joined,
    message_id,
    text,
)
from tests.support.system.running_system import System
from tests.support.wait import until

pytestmark = pytest.mark.asyncio(loop_scope="session")


#: Six chunks surround the words. On a busy machine, two words may share a chunk.
WORDS = 24
CUTS = range(WORDS + 6)
ANSWER = " ".join(f"w{n}" for n in range(WORDS))

every_version = pytest.mark.parametrize("version", VERSIONS)


@pytest.fixture
async def model(system: System, name: str) -> str:
    """A model that sends each word in its own chunk."""
    await system.upstream.script(name, [[{"words": WORDS, "delay": 0.01}]])
    return name


@every_version
async def test_page_reloaded_after_any_chunk_shows_the_whole_answer(
    system: System, ai: AiClient, sse: SseClient, model: str, version: Version
) -> None:
    async def reload(cut: int) -> None:
        chat = f"{model}-{cut}"
        seen = await ai.send(
            ai=version,
            api=system.chat,
            chat=chat,
            text="Hi",
            body={"model": model},
            cut_after=cut,
            on_cut="reload",
        )
        canonical = chunks(await sse.replay(system.chat, chat))
        assert seen.chunks[0] == canonical[:cut]
        assert joined(seen.chunks[-1]) == joined(canonical)
        assert seen.text == ANSWER
        assert (seen.error, seen.status) == (None, "ready")
        assert len(seen.messages) == 2

    await asyncio.gather(*map(reload, CUTS))


@every_version
async def test_resilient_fetch_delivers_each_chunk_once_after_any_cut(
    system: System, ai: AiClient, sse: SseClient, model: str, version: Version
) -> None:
    async def cut_at(cut: int, *, resume_api: str) -> None:
        chat = f"{model}-{cut}"
        seen = await ai.send(
            ai=version,
            api=system.chat,
            chat=chat,
            text="Hi",
            body={"model": model},
            cut_after=cut,
            resilient=True,
            resume_api=resume_api,
        )
        canonical = await sse.replay(system.chat, chat)
        _check_seen_once(seen, canonical)
        assert seen.chunks[0] == chunks(canonical)[:cut]
        assert len(seen.chunks[0]) == min(cut, len(canonical) - 1)

    apis = (system.chat, system.other_chat)
    await asyncio.gather(*(cut_at(cut, resume_api=apis[cut % 2]) for cut in CUTS))


@every_version
async def test_resilient_fetch_survives_repeated_cuts(
    system: System, ai: AiClient, sse: SseClient, model: str, version: Version
) -> None:
    seen = await ai.send(
        ai=version,
        api=system.chat,
        chat=model,
        text="Hi",
        body={"model": model},
        cuts=[3, 1, 0, 5, 2, 1],
        resilient=True,
        resume_api=system.other_chat,
    )

    _check_seen_once(seen, await sse.replay(system.chat, model))


def _check_seen_once(seen: Result, canonical: list[SseEvent]) -> None:
    check_whole(canonical)
    received = [chunk for part in seen.chunks for chunk in part]
    assert joined(received) == joined(chunks(canonical))
    assert seen.text == ANSWER
    assert (seen.error, seen.status) == (None, "ready")
    assert len(seen.messages) == 2
    assert seen.message is not None
    assert seen.message["id"] == message_id(canonical)


async def test_dropped_post_resumes_on_another_api_after_any_event(
    system: System, sse: SseClient, model: str
) -> None:
    async def drop(count: int) -> None:
        chat = f"{model}-{count}"
        async with sse.ask(system.chat, chat, model=model) as stream:
            seen = await stream.read(count)
        complete = seen[-1].data == DONE
        rest = [] if complete else await sse.replay(system.other_chat, chat, after=seen[-1].id)
        assert seen + rest == await sse.replay(system.chat, chat)
        check_whole(seen + rest)
        assert text(seen + rest) == ANSWER

    await asyncio.gather(*map(drop, CUTS[1:]))


async def test_ended_run_is_replayed_merged_from_any_cursor(
    system: System, sse: SseClient, model: str
) -> None:
    canonical = await sse.answer(system.chat, model, model=model)
    whole = await sse.replay(system.other_chat, model, merged=True)

    assert len(whole) == 8
    for count in range(len(canonical)):
        after = canonical[count - 1].id if count else None
        rest = await sse.replay(system.other_chat, model, after=after, merged=True)
        check_whole(canonical[:count] + rest)
        assert joined(chunks(canonical[:count] + rest)) == joined(chunks(canonical))
        assert rest[-1] == canonical[-1]


async def test_live_run_is_followed_from_any_cursor(
    system: System, sse: SseClient, name: str
) -> None:
    half: Json = {"words": 12, "delay": 0.01}
    await system.upstream.script(name, [[half, {"wait": True}, {"text": [" and", " more"]}]])

    async with sse.ask(system.chat, name, model=name) as post:
        seen = await post.until("text-start")
        while text(seen) != " ".join(f"w{n}" for n in range(12)):  # two words may share a chunk
            seen += await post.read(1)
        following = [
            asyncio.create_task(_follow(sse, url, name, seen[:count]))
            for url in (system.chat, system.other_chat)
            for count in range(len(seen) + 1)
        ]
        await until(lambda: _all_follow(following))
        await system.upstream.release(name)
        canonical = seen + await post.rest()

    check_whole(canonical)
    for whole in await asyncio.gather(*following):
        assert whole == canonical


async def _follow(sse: SseClient, url: str, chat: str, seen: list[SseEvent]) -> list[SseEvent]:
    task = asyncio.current_task()
    assert task is not None
    async with sse.follow(url, chat, after=seen[-1].id if seen else None) as stream:
        assert await stream.comment() == ": stream-open"
        task.set_name("following")
        return seen + await stream.rest()


async def _all_follow(tasks: Sequence[asyncio.Task[list[SseEvent]]]) -> bool:
    return all(task.get_name() == "following" or task.done() for task in tasks)


async def test_ended_run_is_replayed_from_any_cursor(
    system: System, sse: SseClient, model: str
) -> None:
    canonical = await sse.answer(system.chat, model, model=model)
    check_whole(canonical)

    for url in (system.chat, system.other_chat):
        assert await sse.replay(url, model) == canonical
        for count in range(1, len(canonical)):
            rest = await sse.replay(url, model, after=canonical[count - 1].id)
            assert rest == canonical[count:]


async def test_special_characters_pass_unchanged(system: System, sse: SseClient, name: str) -> None:
    words = ["\u2028 ", "a\nb\r\n\n", "data: [DONE]\n\n", "é🐍", '"\\', "\x00\x85"]
    await system.upstream.script(name, [[{"text": words, "delay": 0.01}]])

    answer = await sse.answer(system.chat, name, model=name)

    check_whole(answer)
    assert text(answer) == "".join(words)
    assert await sse.replay(system.other_chat, name) == answer


async def test_follow_after_the_last_event_returns_204(
    system: System, sse: SseClient, model: str
) -> None:
    answer = await sse.answer(system.chat, model, model=model)

    assert answer[-1].data == DONE
    assert (await sse.get(system.other_chat, model, after=answer[-1].id)).status_code == 204


async def test_follow_of_an_unknown_chat_returns_204(
    system: System, sse: SseClient, name: str
) -> None:
    assert (await sse.get(system.chat, name)).status_code == 204


async def test_cursor_of_an_expired_run_returns_410(
    system: System, sse: SseClient, model: str
) -> None:
    await sse.answer(system.chat, model, model=model)

    refusal = await sse.get(system.chat, model, after="1-5@gone")

    assert refusal.status_code == 410
    assert refusal.headers["content-type"] == "application/problem+json"
    assert refusal.json()["code"] == "cursor_expired"


@pytest.mark.parametrize("cursor", ["x", "1", "1-", "1-2-3", "-1-2", "1-2@", "1-2@a b"])
async def test_malformed_cursor_returns_422(
    system: System, sse: SseClient, name: str, cursor: str
) -> None:
    refusal = await sse.get(system.chat, name, after=cursor)

    assert refusal.status_code == 422
    assert refusal.json()["code"] == "invalid_request"
    assert refusal.json()["field"] == "Last-Event-ID"


@pytest.mark.parametrize("cursor", ["1-99999", "9-99999", "7-5", "0-5"])
async def test_cursor_without_an_event_returns_410(
    system: System, sse: SseClient, model: str, cursor: str
) -> None:
    await sse.answer(system.chat, model, model=model)

    refusal = await sse.get(system.chat, model, after=cursor)

    assert (refusal.status_code, refusal.json()["code"]) == (410, "cursor_lost")


async def test_cursor_of_another_chat_returns_404(
    system: System, sse: SseClient, model: str
) -> None:
    answer = await sse.answer(system.chat, model, model=model)

    refusal = await sse.get(system.chat, f"{model}-other", after=answer[3].id)

    assert refusal.status_code == 404


async def test_client_disconnect_does_not_stop_the_run(
    system: System, sse: SseClient, name: str
) -> None:
    await system.upstream.script(name, [[{"text": ["Hel"]}, {"wait": True}, {"text": ["lo"]}]])

    async with sse.ask(system.chat, name, model=name) as stream:
        seen = await stream.until("text-delta")
    await system.upstream.release(name)
    answer = await sse.replay(system.other_chat, name)

    check_whole(answer)
    assert answer[: len(seen)] == seen
    assert text(answer) == "Hello"
    assert (await system.run(stream.run_id))["state"] == "succeeded"
    assert [request["outcome"] for request in await system.upstream.requests(name)] == ["finished"]


async def test_message_id_is_the_same_on_every_connection(
    system: System, sse: SseClient, name: str
) -> None:
    await system.upstream.script(name, [[{"text": ["Hi"]}, {"wait": True}]])

    async with (
        sse.ask(system.chat, name, model=name) as post,
        sse.follow(system.chat, name) as get,
        sse.follow(system.other_chat, name) as other,
    ):
        await system.upstream.release(name)
        ids = {message_id(await stream.rest()) for stream in (post, get, other)}

    assert ids == {message_id(await sse.replay(system.chat, name))}
