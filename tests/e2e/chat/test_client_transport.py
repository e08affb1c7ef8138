"""`MambaChatTransport` under the real AI SDK: stopping, replacing and resuming answers."""

import pytest

from tests.support.ai_client.driver import VERSIONS, AiClient, Result, Version
from tests.support.sse_client import Json, SseClient, chunks, joined, text, types
from tests.support.system.running_system import System

pytestmark = pytest.mark.asyncio(loop_scope="session")
every_version = pytest.mark.parametrize("version", VERSIONS)

#: Never ends without a stop or a release.
ENDLESS: list[list[Json]] = [[{"text": ["Hello"]}, {"wait": True}, {"text": ["!"]}]]
WORDS = 24
ANSWER = " ".join(f"w{n}" for n in range(WORDS))
CARD = '{"title": "A title that is long enough for several deltas", "body": "And a body"}'


def _routes(result: Result) -> list[tuple[str, str, int | None]]:
    return [(r.method, r.url.rpartition("/")[2], r.status) for r in result.requests]


@pytest.fixture
async def model(system: System, name: str) -> str:
    await system.upstream.script(name, ENDLESS)
    await system.upstream.script(f"{name}-2", [[{"text": ["Second"]}]])
    return name


@every_version
async def test_stop_of_the_hook_stops_the_model(
    system: System, ai: AiClient, sse: SseClient, model: str, version: Version
) -> None:
    seen = await ai.send(
        ai=version,
        api=system.chat,
        chat=model,
        text="Hi",
        body={"model": model},
        mamba=True,
        stop_at="text-delta",
        then=[{"op": "send", "text": "Again", "body": {"model": f"{model}-2"}}],
    )

    await system.upstream.until(model, lambda got: got[0]["outcome"] == "client-closed")
    first, stop, second = _routes(seen)
    assert (first, second) == (("POST", "chat", 200), ("POST", "chat", 200))
    assert stop[1].startswith("stop?runId=")
    assert (stop[0], stop[2]) == ("POST", 200)
    assert (seen.status, seen.error) == ("ready", None)
    texts = [part["text"] for m in seen.messages for part in m["parts"] if part["type"] == "text"]
    assert [texts[0], *texts[-2:]] == ["Hi", "Again", "Second"]
    assert text(await sse.replay(system.chat, model)) == "Second"


@every_version
async def test_priority_of_the_transport_is_that_of_its_runs(
    system: System, ai: AiClient, model: str, version: Version
) -> None:
    seen = await ai.send(
        ai=version,
        api=system.chat,
        chat=model,
        text="Hi",
        body={"model": f"{model}-2"},
        mamba=True,
        priority="background",
    )

    assert seen.message is not None
    run = await system.run(seen.message["metadata"]["mamba"]["runId"])
    assert run["priority"] == "background"


@every_version
async def test_stop_of_a_resumed_answer_stops_the_model(
    system: System, ai: AiClient, sse: SseClient, model: str, version: Version
) -> None:
    async with sse.ask(system.chat, model, model=model) as stream:
        await stream.until("text-delta")
        seen = await ai.resume(
            ai=version, api=system.chat, chat=model, mamba=True, stop_at="text-delta"
        )
        events = await stream.rest()

    assert types(events)[-1] == "abort"
    assert (seen.status, seen.error) == ("ready", None)


@every_version
async def test_regenerate_replaces_the_live_run(
    system: System, ai: AiClient, model: str, version: Version
) -> None:
    seen = await ai.send(
        ai=version,
        api=system.chat,
        chat=model,
        text="Hi",
        body={"model": model},
        mamba=True,
        meanwhile={"after": 4, "op": "regenerate", "body": {"model": f"{model}-2"}},
    )

    assert {status for _, _, status in _routes(seen)} == {200}
    assert (seen.status, seen.error) == ("ready", None)
    await system.upstream.until(model, lambda got: got[0]["outcome"] == "client-closed")
    assert seen.messages[-1]["parts"][-1]["text"] == "Second"


@every_version
async def test_repeated_cuts_leave_the_canonical_message(
    system: System, ai: AiClient, sse: SseClient, name: str, version: Version
) -> None:
    await system.upstream.script(name, [[{"words": WORDS, "delay": 0.01}]])

    seen = await ai.send(
        ai=version,
        api=system.chat,
        chat=name,
        text="Hi",
        body={"model": name},
        mamba=True,
        cuts=[3, 1, 0, 5, 2, 1],
        resume_api=system.other_chat,
    )

    canonical = await sse.replay(system.chat, name)
    received = joined(chunk for part in seen.chunks for chunk in part)
    assert received == joined(chunks(canonical))
    assert (seen.text, seen.status, seen.error) == (ANSWER, "ready", None)
    assert len(seen.messages) == 2
    assert seen.message is not None
    assert seen.message["metadata"]["mamba"]["digest"].startswith("sha256:")


@every_version
@pytest.mark.parametrize("at", ["text", "tool-input"])
async def test_resume_after_an_error_shows_the_answer_once(
    system: System, ai: AiClient, sse: SseClient, name: str, version: Version, at: str
) -> None:
    """In the same page, without a reload: `ai` 5 and 6 do not expect a replay."""
    call = {"id": "call-1", "name": "generateCard", "arguments": CARD, "pieces": 8}
    card: list[list[Json]] = [[{"tool": call}], [{"text": ["Done"]}]]
    answers = card if at == "tool-input" else [[{"words": WORDS}]]
    await system.upstream.script(name, answers)

    seen = await ai.send(
        ai=version,
        api=system.chat,
        chat=name,
        text="Hi",
        body={"model": name, "tools": ["generateCard"]},
        mamba=True,
        cut_after=4,
        lost_resumes=1,
        then=[{"op": "resume"}],
    )

    canonical = await sse.replay(system.chat, name)
    assert seen.text == text(canonical)
    assert (seen.status, seen.error, len(seen.messages)) == ("ready", None, 2)
    assert seen.message is not None
    states = [part["state"] for part in seen.message["parts"] if part["type"].startswith("tool-")]
    assert states == (["output-available"] if at == "tool-input" else [])


@every_version
async def test_message_is_executed_once_if_its_response_is_lost(
    system: System, ai: AiClient, name: str, version: Version
) -> None:
    await system.upstream.script(name, [[{"words": WORDS}]])

    seen = await ai.send(
        ai=version,
        api=system.chat,
        chat=name,
        text="Hi",
        body={"model": name},
        mamba=True,
        lost_responses=2,
    )

    assert (seen.text, seen.status, seen.error) == (ANSWER, "ready", None)
    assert len({request.headers["idempotency-key"] for request in seen.requests}) == 1
    assert _routes(seen) == [("POST", "chat", 200)] * 3
    assert len(await system.upstream.requests(name)) == 1
