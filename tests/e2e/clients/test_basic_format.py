"""The basic stream format: the same runs and cursors, other events."""

import asyncio
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

import httpx
import pytest

from tests.support.sse_client import (
    DONE,
    Json,
    SseClient,
    SseEvent,
    check_whole,
    chunks,
    text,
    types,
)
from tests.support.system.running_system import System

pytestmark = pytest.mark.asyncio(loop_scope="session")

FORMATS_PAGE = Path(__file__).parents[3] / "docs/reference/stream-formats.md"
BASIC = "text/event-stream; profile=basic"
WAIT: Json = {"wait": True}
ARGUMENTS = {"title": "A card", "body": "of some length"}
CARD: Json = {
    "tool": {
        "id": "call-1",
        "name": "generateCard",
        "arguments": '{"title": "A card", "body": "of some length"}',
        "pieces": 5,
    }
}
SCRIPT = [
    [{"reasoning": ["Let me see"]}, {"text": ["Look: "]}, CARD],
    [{"text": ["Hel"]}, WAIT, {"text": ["lo"]}],
]


def basic_text(events: Sequence[SseEvent]) -> str:
    return "".join(c["textDelta"] for c in chunks(events) if c["type"] == "text-delta")


def check_basic(events: list[SseEvent], expected: str, *, calls: int = 1) -> None:
    assert events[-1].data == DONE
    kinds = types(events)
    assert set(kinds[:-1]) <= {"text-delta", "tool-call", "tool-result"}
    assert (kinds.count("tool-call"), kinds.count("tool-result")) == (calls, calls)
    assert chunks(events)[-1] == {"type": "finish", "finishReason": "stop"}
    assert basic_text(events) == expected


async def test_stream_formats_share_cursors(system: System, sse: SseClient, name: str) -> None:
    await system.upstream.script(name, SCRIPT)
    body: Json = {"model": name, "tools": ["generateCard"]}

    async with (
        sse.ask(system.chat, name, accept=BASIC, **body) as basic,
        sse.follow(system.other_chat, name) as ui,
    ):
        basic_events = await basic.until("tool-result")
        ui_events = await ui.until("tool-output-available")
        await system.upstream.release(name)
        basic_events += await basic.rest()
        ui_events += await ui.rest()

    check_whole(ui_events)
    check_basic(basic_events, "Look: Hello")
    assert text(ui_events) == "Look: Hello"
    assert {event.id for event in basic_events} < {event.id for event in ui_events}
    for cut in ui_events[:-1]:
        rest = await sse.replay(system.other_chat, name, after=cut.id, accept=BASIC)
        assert rest == [event for event in basic_events if event.offset > cut.offset]
    for cut in basic_events[:-1]:
        rest = await sse.replay(system.chat, name, after=cut.id)
        assert rest == [event for event in ui_events if event.offset > cut.offset]
    assert (await sse.get(system.chat, name, after=basic_events[-1].id)).status_code == 204


async def test_response_header_names_the_stream_format(
    system: System, sse: SseClient, name: str
) -> None:
    await system.upstream.script(name, [[{"text": ["Hello"]}]])

    async with sse.ask(system.chat, name, model=name, accept=BASIC) as post:
        check_basic(await post.rest(), "Hello", calls=0)
    async with sse.follow(system.other_chat, name, accept=BASIC) as get:
        check_basic(await get.rest(), "Hello", calls=0)

    for stream in (post, get):
        headers = stream.response.headers
        assert headers["content-type"] == "text/event-stream; profile=basic; charset=utf-8"
        assert "accept" in headers["vary"].lower()
        assert "x-vercel-ai-ui-message-stream" not in headers
        assert headers["x-run-id"] == post.run_id


async def test_basic_format_survives_a_killed_worker(
    workerless: System, sse: SseClient, name: str
) -> None:
    await workerless.upstream.script(name, SCRIPT)
    body: Json = {"model": name, "tools": ["generateCard"], "accept": BASIC}

    async with (
        workerless.start_workers() as [victim],
        sse.ask(workerless.chat, name, **body) as stream,
    ):
        events = await stream.until("tool-result")
        events += await stream.until("text-delta")
        await victim.kill()
        async with workerless.start_workers():
            await workerless.upstream.until(name, lambda got: len(got) == 3)
            await workerless.upstream.release(name)
            events += await stream.rest()

    check_basic(events, "Look: Hello")
    assert {event.attempt for event in events} == {1, 2}
    called, result = (c for c in chunks(events) if c["type"].startswith("tool-"))
    assert called["args"] == result["args"] == ARGUMENTS
    assert called["toolCallId"] == result["toolCallId"]


async def test_stopped_run_ends_as_cancelled(system: System, sse: SseClient, name: str) -> None:
    await system.upstream.script(name, [[{"text": ["Hel"]}, WAIT, {"text": ["lo"]}]])

    async with sse.ask(system.chat, name, model=name, accept=BASIC) as stream:
        await stream.until("text-delta")
        assert (await sse.stop(system.chat, name)).json()["state"] == "cancelled"
        end = await stream.rest()

    assert chunks(end) == [{"type": "finish", "finishReason": "cancelled"}]
    assert end[-1].data == DONE


async def test_failed_run_ends_with_message_and_code(
    system: System, sse: SseClient, name: str
) -> None:
    await system.upstream.script(name, [[{"text": ["Hello"]}]], [{"status": 401}])

    async with sse.ask(system.chat, name, model=name, accept=BASIC) as stream:
        [error] = chunks(await stream.rest())

    text = "The model refused the server's credentials."
    assert error == {"type": "error", "error": text, "code": "model_auth"}


async def test_unknown_stream_format_is_rejected_before_admission(
    system: System, name: str
) -> None:
    body = {"id": name, "messages": [{"role": "user", "content": "Hi"}]}
    headers = {"accept": "text/event-stream; profile=html5"}

    async with httpx.AsyncClient(headers=headers, trust_env=False, timeout=30) as client:
        post = await client.post(system.chat, json=body)
        get = await client.get(f"{system.chat}/{name}/stream")

    for refusal in (post, get):
        assert refusal.status_code == 406
        assert refusal.json()["code"] == "not_acceptable"
        assert "profile=basic" in refusal.json()["detail"]
    async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
        assert (await client.get(f"{system.chat}/{name}/stream")).status_code == 204


async def test_chat_completions_alias_sends_follows_and_stops(
    system: System, sse: SseClient, name: str
) -> None:
    earlier = f"{system.chat}/completions"
    await system.upstream.script(name, [[{"text": ["Hel"]}, WAIT, {"text": ["lo"]}]])

    async with sse.ask(earlier, name, model=name) as asked, sse.follow(earlier, name) as followed:
        for stream in (asked, followed):
            await stream.until("text-delta")
        assert followed.run_id == asked.run_id
        assert (await sse.stop(earlier, name)).json()["run_id"] == asked.run_id
        assert await asked.rest() == await followed.rest()

    assert await sse.replay(system.chat, name) == await sse.replay(earlier, name)


async def test_chat_id_may_equal_the_alias_name(system: System, sse: SseClient) -> None:
    await system.upstream.script("named", [[{"text": ["Hello"]}]])

    asked = await sse.answer(system.chat, "completions", model="named")

    assert await sse.replay(system.chat, "completions") == asked
    assert await sse.replay(f"{system.chat}/completions", "completions") == asked


async def test_documented_stream_format_commands_work(system: System) -> None:
    await system.upstream.script("gpt-4o", [[{"text": ["Hello"]}]])
    ask, resume = re.findall(r"```sh\n(.*?)```", FORMATS_PAGE.read_text(), re.DOTALL)

    whole, rest = await type_in(ask, system), await type_in(resume, system)

    _, hello, *after = whole.removesuffix("\n\n").split("\n\n")
    assert hello.startswith("id: 1-4@")
    assert hello.endswith('data: {"type":"text-delta","textDelta":"Hello"}')
    assert rest.removesuffix("\n\n").split("\n\n") == [": stream-open", *after]


COMMANDS = [
    """
curl -X POST http://localhost:8000/chat/completions \\
  -H "Content-Type: application/json" \\
  -d '{
    "messages": [
      {"role": "user", "content": "Hello, how are you?"}
    ]
  }'
""",
    """
curl -X POST http://localhost:8000/chat \\
  -H "Content-Type: application/json" \\
  -d '{
    "messages": [
      {"role": "system", "content": "You are a helpful assistant."},
      {"role": "user", "content": "Hello!"}
    ],
    "model": "openai/gpt-4o",
    "tools": ["generateForm", "generateChart"],
    "agent": null
  }'
""",
]


@pytest.mark.parametrize("command", COMMANDS)
async def test_documented_basic_command_is_answered(system: System, command: str) -> None:
    await system.upstream.script("gpt-4o", [[{"text": ["Hello"]}]])

    typed = await type_in(command, system)

    assert '"type":"text-delta","id":"text-1","delta":"Hello"' in typed
    assert typed.endswith("data: [DONE]\n\n")


async def type_in(command: str, system: System) -> str:
    """Run a documented command with the port replaced, and return its output."""
    command = command.replace("localhost:8000", f"127.0.0.1:{system.apis[0].port}")
    typed = await asyncio.to_thread(
        subprocess.run, ["bash", "-c", command], capture_output=True, text=True, timeout=30
    )
    return typed.stdout
