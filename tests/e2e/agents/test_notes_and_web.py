"""Custom notes and web tools, used by the research agent and by agents of the agent file."""

import json
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from tests.support.fakes.pages import Pages
from tests.support.processes import Api, Valkey, Worker, start_all, stop_all
from tests.support.sse_client import Json, SseClient, SseEvent, check_whole, chunks, types
from tests.support.system.running_system import kill_process
from tests.support.upstream.client import Upstream
from tests.support.wait import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

AGENTS = """
agents:
  - name: librarian
    instructions: Look it up.
    tools: [search_notes, read_note, generateCard, search_web, fetch_page]
  - name: critic
    instructions: Find what is wrong.
    tools: [list_files, find_problems, analyze_complexity, report_finding]
"""
PAGE = b"<html><title>Opening hours</title><p>At nine.</p></html>"
FOUND = {"results": [{"url": "https://a.example/", "title": "A", "content": "x", "score": 1}]}


@dataclass
class Library:
    chat: str
    tools: str
    notes: Path
    pages: Pages
    upstream: Upstream


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def library(
    upstream: Upstream, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[Library]:
    folder = tmp_path_factory.mktemp("library")
    notes, file = folder / "notes", folder / "agents.yaml"
    notes.mkdir()
    (notes / "hours.md").write_text("# Hours\n\nThe library opens at eight.\n")
    file.write_text(AGENTS)
    valkey = Valkey()
    await start_all(valkey)
    async with Pages({"/hours": ("text/html", PAGE)}) as pages:
        pages.pages["/search"] = ("application/json", json.dumps(FOUND).encode())
        env = {
            "MAMBA_AGENTS__FILE": str(file),
            "MAMBA_RESEARCH__NOTES_FOLDER": str(notes),
            "MAMBA_RESEARCH__WEB_SEARCH": "tavily",
            "MAMBA_RESEARCH__TAVILY_API_KEY": "tvly-secret",
            "MAMBA_RESEARCH__TAVILY_BASE_URL": pages.url,
            "MAMBA_RESEARCH__FETCH_PAGES": "true",
            "MAMBA_RESEARCH__PRIVATE_ADDRESSES": "true",
        }
        api, worker = Api(valkey.url, env), Worker(valkey.url, upstream.base_url, env)
        try:
            await start_all(api, worker)
            yield Library(f"{api.url}/chat", f"{api.url}/tools", notes, pages, upstream)
        finally:
            await kill_process(worker)
            await stop_all(api, valkey)


def call(name: str, **arguments: object) -> list[Json]:
    return [{"tool": {"id": "call-1", "name": name, "arguments": json.dumps(arguments)}}]


async def answer(
    library: Library,
    sse: SseClient,
    model: str,
    agent: str,
    response: list[Json],
    prompt: str = "Hi",
) -> list[SseEvent]:
    await library.upstream.script(model, [response, [{"text": ["Done."]}]])
    events = await sse.answer(library.chat, model, model=model, agent=agent, text=prompt)
    check_whole(events)
    return events


def output(events: list[SseEvent]) -> object:
    [chunk] = [c for c in chunks(events) if c["type"] == "tool-output-available"]
    return chunk["output"]


@pytest.mark.parametrize("agent", ["research", "librarian"])
async def test_changed_note_is_found_in_the_next_answer(
    library: Library, sse: SseClient, name: str, agent: str
) -> None:
    note = library.notes / f"{agent}.md"

    async def found() -> list[str]:
        response = call("search_notes", query="closing zebra")
        events = await answer(library, sse, name, agent, response)
        hits = output(events)
        assert isinstance(hits, list)
        return [str(hit) for hit in hits]  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]

    before = await found()
    note.write_text("# Closing\n\nThe zebra closes at five.\n")

    async def five() -> bool:
        return any("closes at five" in hit for hit in await found())

    await until(five)
    note.write_text("# Closing\n\nThe zebra closes at six.\n")

    async def six() -> bool:
        hits = await found()
        return any("at six" in hit for hit in hits) and not any("at five" in hit for hit in hits)

    await until(six)
    note.unlink()

    async def gone() -> bool:
        return await found() == before

    await until(gone)


@pytest.mark.parametrize("agent", ["research", "librarian"])
async def test_fetched_page_is_cited_as_source(
    library: Library, sse: SseClient, name: str, agent: str
) -> None:
    url = f"{library.pages.url}/hours"

    events = await answer(library, sse, name, agent, call("fetch_page", url=url))

    page = output(events)
    assert isinstance(page, dict)
    assert "At nine." in str(page)  # pyright: ignore[reportUnknownArgumentType]
    [source] = [chunk for chunk in chunks(events) if chunk["type"] == "source-url"]
    assert source == {
        "type": "source-url",
        "sourceId": url,
        "url": url,
        "title": "Opening hours",
    }


async def test_web_search_output_omits_the_api_key(
    library: Library, sse: SseClient, name: str
) -> None:
    events = await answer(library, sse, name, "librarian", call("search_web", query="a"))

    assert output(events) == [{"url": "https://a.example/", "title": "A", "excerpt": "x"}]
    assert "tvly" not in str(events)


async def test_file_agent_uses_review_tools(library: Library, sse: SseClient, name: str) -> None:
    code = "```python app.py\nprint(eval(input()))\n```"

    events = await answer(library, sse, name, "critic", call("find_problems"), code)

    assert "ruff:S307" in str(output(events))


async def test_file_agent_reports_findings_as_cards(
    library: Library, sse: SseClient, name: str
) -> None:
    finding = {
        "path": "app.py",
        "line": 1,
        "severity": "high",
        "category": "security",
        "title": "Text becomes code",
        "explanation": "Anyone who can type can run code.",
    }
    code = "```python app.py\nprint(eval(input()))\n```"

    events = await answer(library, sse, name, "critic", call("report_finding", **finding), code)

    assert "data-card" in types(events)


async def test_tools_endpoint_returns_schemas_and_agents(library: Library) -> None:
    async with httpx.AsyncClient(timeout=30) as http:

        async def published_tool() -> Json | None:
            tool = (await http.get(f"{library.tools}/read_note")).json()
            return tool if tool["input_schema"] and len(tool["agents"]) == 2 else None

        tool = await until(published_tool)
        web = (await http.get(f"{library.tools}/fetch_page")).json()

    assert tool is not None
    assert tool["agents"] == ["research", "librarian"]
    assert list(tool["input_schema"]["properties"]) == ["id"]
    assert list(tool["output_schema"]["properties"]) == ["id", "title", "heading", "text"]
    assert web["agents"] == ["research", "librarian"]
