"""The tools that the file may give an agent, by name."""

from collections.abc import Sequence
from pathlib import Path

from pydantic_ai import Tool

from shared.settings import ResearchSettings
from worker.agents.definition import AgentContext, AgentRun
from worker.notes import index as notes
from worker.notes.index import NotesIndex
from worker.tools.display import DISPLAY_TOOLS
from worker.tools.notes import note_tools
from worker.tools.review import REVIEW_TOOLS

_CORPUS = Path(notes.__file__).parent / "corpus"
_REVIEW_TOOLS = {tool.name: tool for tool in REVIEW_TOOLS}
_NOTES = ("search_notes", "read_note")
_WEB = ("search_web", "fetch_page")

NAMES = (*DISPLAY_TOOLS, *_NOTES, *_WEB, *_REVIEW_TOOLS)


def complaint(name: str, settings: ResearchSettings) -> str | None:
    """What is wrong with naming this tool, in words; None where nothing is."""
    if name not in NAMES:
        return f"There is no tool {name!r}. There are: {', '.join(NAMES)}."
    if name == "search_web" and settings.web_search == "none":
        return "search_web needs the setting research.web_search."
    if name == "fetch_page" and not settings.fetch_pages:
        return "fetch_page needs the setting research.fetch_pages."
    return None


async def tools_named(names: Sequence[str], context: AgentContext) -> list[Tool[AgentRun]]:
    """The tools of these names, with what they need."""
    made: dict[str, Tool[AgentRun]] = {**DISPLAY_TOOLS, **_REVIEW_TOOLS}
    if any(name in _NOTES for name in names):
        made |= {tool.name: tool for tool in await shared_note_tools(context)}
    if any(name in _WEB for name in names):
        made |= {tool.name: tool for tool in configured_web_tools(context)}
    return [made[name] for name in dict.fromkeys(names)]


async def shared_note_tools(context: AgentContext) -> list[Tool]:
    """Over one index for all agents of the worker."""
    folder = context.live.now.research.notes_folder or _CORPUS
    return note_tools(await context.share("notes", lambda: NotesIndex(folder)))


def configured_web_tools(context: AgentContext) -> list[Tool]:
    settings = context.live.now.research
    if settings.web_search == "none" and not settings.fetch_pages:
        return []
    from worker.tools.web import web_tools  # noqa: PLC0415  (a second, for those who use it)

    return web_tools(settings)
