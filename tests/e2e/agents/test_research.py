"""The research agent finds the note that answers a question, reads it and cites it."""

import asyncio

import pytest

from tests.support.ai_client.driver import AiClient, Version
from tests.support.sse_client import Json
from tests.support.system.running_system import System

pytestmark = pytest.mark.asyncio(loop_scope="session")

NOTE = "workers.md#when-a-worker-is-killed"
QUESTION = "What happens to an answer when its worker is killed?"


def call(number: int, name: str, arguments: str) -> Json:
    return {"tool": {"id": f"call-{number}", "name": name, "arguments": arguments}}


@pytest.mark.parametrize("version", ["5", "6", "7"])
async def test_answer_cites_the_note_it_is_based_on(
    system: System, ai: AiClient, name: str, version: Version
) -> None:
    answer_text = "Another worker goes on in the same text [Workers: When a worker is killed]."
    await system.upstream.script(
        name,
        [
            [call(1, "search_notes", '{"query": "worker killed"}')],
            [call(2, "read_note", f'{{"id": "{NOTE}"}}')],
            [{"text": [answer_text]}],
        ],
    )
    body = {"model": name, "agent": "research"}
    answer = await ai.send(ai=version, api=system.chat, chat=name, body=body, text=QUESTION)

    assert answer.message is not None
    parts = answer.message["parts"]
    [search] = [part for part in parts if part["type"] == "tool-search_notes"]
    assert search["output"][0]["id"] == NOTE
    [source] = [part for part in parts if part["type"] == "source-document"]
    assert source["sourceId"] == NOTE
    assert source["title"] == "Workers: When a worker is killed"
    assert (source["filename"], source["mediaType"]) == ("workers.md", "text/markdown")
    assert parts[-1]["text"] == answer_text
    third = (await system.upstream.requests(name))[-1]["body"]["messages"]
    assert "Then another worker takes over the run" in str(third[-1]["content"]).replace("\\n", " ")


@pytest.mark.parametrize("version", ["5", "6", "7"])
async def test_reload_at_any_event_shows_the_complete_research(
    system: System, ai: AiClient, name: str, version: Version
) -> None:
    await system.upstream.script(
        name,
        [
            [call(1, "search_notes", '{"query": "worker killed"}')],
            [call(2, "read_note", f'{{"id": "{NOTE}"}}')],
            [{"text": ["Another worker ", "goes on."]}],
        ],
    )

    async def reload(cut: int) -> None:
        page = await ai.send(
            ai=version,
            api=system.chat,
            chat=f"{name}-{cut}",
            text=QUESTION,
            body={"model": name, "agent": "research"},
            cut_after=cut,
            on_cut="reload",
        )
        assert (page.error, page.status, page.text) == (None, "ready", "Another worker goes on.")
        assert page.message is not None
        sources = [p for p in page.message["parts"] if p["type"] == "source-document"]
        assert [source["sourceId"] for source in sources] == [NOTE]

    await asyncio.gather(*map(reload, range(1, 16)))


async def test_model_can_retry_after_an_unknown_note_id(
    system: System, ai: AiClient, name: str
) -> None:
    await system.upstream.script(
        name,
        [
            [call(1, "read_note", '{"id": "none.md#none"}')],
            [call(2, "read_note", f'{{"id": "{NOTE}"}}')],
            [{"text": ["Found."]}],
        ],
    )
    body = {"model": name, "agent": "research"}
    answer = await ai.send(ai="7", api=system.chat, chat=name, body=body, text=QUESTION)

    assert answer.message is not None
    reads = [part for part in answer.message["parts"] if part["type"] == "tool-read_note"]
    assert [part["state"] for part in reads] == ["output-error", "output-available"]
    assert "search_notes" in reads[0]["errorText"]
