"""Every display tool in a real client: streamed, corrected, reloaded and stopped."""

import asyncio
import json
from functools import partial

import pytest

from shared.agents.display.tools import DISPLAY_TOOLS
from shared.agents.tools import DISPLAY_TOOL_NAMES
from tests.support.ai_client.driver import VERSIONS, AiClient, Result, Version
from tests.support.sse_client import Json, SseClient, check_whole, chunks, joined
from tests.support.system.running_system import System

pytestmark = pytest.mark.asyncio(loop_scope="session")

every_version = pytest.mark.parametrize("version", VERSIONS)
every_tool = pytest.mark.parametrize("tool", DISPLAY_TOOL_NAMES)

PIECES = 8


def call(tool: str, arguments: Json | None = None, **more: object) -> Json:
    """A call streamed in pieces, with the tool's example as default arguments."""
    given = DISPLAY_TOOLS[tool].example.output() if arguments is None else arguments
    text = json.dumps(given)
    return {"tool": {"id": "call-1", "name": tool, "arguments": text, "pieces": PIECES, **more}}


def part(result: Result, tool: str) -> Json:
    assert result.message is not None
    [found] = [part for part in result.message["parts"] if part["type"] == f"tool-{tool}"]
    return found


@every_version
@every_tool
async def test_display_tool_is_streamed_and_shown(
    system: System, ai: AiClient, name: str, tool: str, version: Version
) -> None:
    await system.upstream.script(name, [[call(tool)], [{"text": ["There."]}]])
    body = {"model": name, "tools": [tool]}

    answer = await ai.send(ai=version, api=system.chat, chat=name, body=body, text="Show it")

    assert (answer.error, answer.status, answer.text) == (None, "ready", "There.")
    shown, example = part(answer, tool), DISPLAY_TOOLS[tool].example.output()
    assert (shown["state"], shown["input"], shown["output"]) == (
        "output-available",
        example,
        example,
    )
    [received] = answer.chunks
    deltas = [chunk["inputTextDelta"] for chunk in received if chunk["type"] == "tool-input-delta"]
    assert json.loads("".join(deltas)) == example


WRONG: dict[str, Json] = {
    "generateForm": {"title": "Form", "fields": []},
    "generateChart": {"type": "bar", "title": "Chart", "series": []},
    "generateCode": {"language": "python", "code": "a", "highlightedLines": [2]},
    "generateCard": {"title": "Card", "media": {"url": "javascript:alert(1)", "alt": "x"}},
}


@every_version
@every_tool
async def test_invalid_arguments_are_corrected_before_the_output(
    system: System, ai: AiClient, name: str, tool: str, version: Version
) -> None:
    wrong, right = call(tool, WRONG[tool], id="call-0"), call(tool)
    await system.upstream.script(name, [[wrong], [right], [{"text": ["There."]}]])
    body = {"model": name, "tools": [tool]}

    answer = await ai.send(ai=version, api=system.chat, chat=name, body=body, text="Show it")

    assert (answer.error, answer.text) == (None, "There.")
    assert answer.message is not None
    states = [p["state"] for p in answer.message["parts"] if p["type"] == f"tool-{tool}"]
    assert states == ["output-error", "output-available"]


@every_version
async def test_page_reloaded_after_any_chunk_shows_the_tool(
    system: System, ai: AiClient, sse: SseClient, name: str, version: Version
) -> None:
    script = [[{"text": ["Look: "]}, call("generateCard")], [{"text": ["There."]}]]
    await system.upstream.script(name, script)

    async def reload(cut: int) -> None:
        chat = f"{name}-{cut}"
        seen = await ai.send(
            ai=version,
            api=system.chat,
            chat=chat,
            text="Show it",
            body={"model": name, "tools": ["generateCard"]},
            cut_after=cut,
            on_cut="reload",
        )
        assert (seen.error, seen.status, seen.text) == (None, "ready", "Look: There.")
        assert (
            part(seen, "generateCard")["output"] == DISPLAY_TOOLS["generateCard"].example.output()
        )
        assert len(seen.messages) == 2
        canonical = chunks(await sse.replay(system.chat, chat))
        assert joined(seen.chunks[-1]) == joined(canonical)

    await asyncio.gather(*map(reload, range(1, 16)))


@every_version
@every_tool
async def test_empty_page_opened_after_the_run_shows_the_tool(
    system: System, ai: AiClient, sse: SseClient, name: str, tool: str, version: Version
) -> None:
    await system.upstream.script(name, [[call(tool)], [{"text": ["There."]}]])
    check_whole(await sse.answer(system.chat, name, model=name, tools=[tool]))

    page = await ai.resume(ai=version, api=system.chat, chat=name)

    assert (page.error, page.text) == (None, "There.")
    assert part(page, tool)["output"] == DISPLAY_TOOLS[tool].example.output()


@every_version
@every_tool
async def test_message_after_a_stop_during_tool_input_is_answered(
    system: System, ai: AiClient, name: str, tool: str, version: Version
) -> None:
    await system.upstream.script(name, [[call(tool, held_after=4)], [{"text": ["Never."]}]])
    body = {"model": name, "tools": [tool]}
    ask = partial(ai.send, ai=version, api=system.chat, chat=name, body=body)

    stopped = await ask(text="Show it", stop_after=4)
    await system.upstream.script(name, [[{"text": ["Well."]}]])
    again = await ask(text="Never mind", messages=stopped.messages)

    assert (stopped.error, stopped.status) == (None, "ready")
    assert part(stopped, tool)["state"] == "input-streaming"
    assert (again.error, again.text) == (None, "Well.")
    sent = (await system.upstream.requests(name))[-1]["body"]["messages"]
    asked = [message["content"] for message in sent if message["role"] == "user"]
    assert asked == ["Show it\n\nNever mind"]
    assert not any(message.get("tool_calls") for message in sent)
