"""The built-in tools that the agent file can name."""

from collections.abc import Sequence
from pathlib import Path

from pydantic_ai import Tool

from shared.errors import SettingsError
from shared.settings import ResearchSettings
from worker.agents.definition import AgentContext
from worker.notes import index as notes
from worker.notes.index import NotesIndex
from worker.tools.context import AgentRun
from worker.tools.display import DISPLAY_TOOLS
from worker.tools.notes import note_tools
from worker.tools.review import REVIEW_TOOLS

_CORPUS = Path(notes.__file__).parent / "corpus"
_REVIEW_TOOLS = {tool.name: tool for tool in REVIEW_TOOLS}
_NOTES = ("search_notes", "read_note")
_WEB = ("search_web", "fetch_page")

TOOL_NAMES = (*DISPLAY_TOOLS, *_NOTES, *_WEB, *_REVIEW_TOOLS)


def tool_error(name: str, settings: ResearchSettings) -> str | None:
    """Explain why an agent cannot use this tool. Return None if it can."""
    if name not in TOOL_NAMES:
        return f"There is no tool named {name!r}. Available tools: {', '.join(TOOL_NAMES)}."
    if name == "search_web" and settings.web_search == "none":
        return "search_web requires the setting research.web_search."
    if name == "fetch_page" and not settings.fetch_pages:
        return "fetch_page requires the setting research.fetch_pages."
    return None


async def tools_by_name(names: Sequence[str], context: AgentContext) -> list[Tool[AgentRun]]:
    """Create the tools with these names. Duplicate names are ignored."""
    tools: dict[str, Tool[AgentRun]] = {**DISPLAY_TOOLS, **_REVIEW_TOOLS}
    if any(name in _NOTES for name in names):
        tools |= {tool.name: tool for tool in await shared_note_tools(context)}
    if any(name in _WEB for name in names):
        tools |= {tool.name: tool for tool in configured_web_tools(context)}
    return [tools[name] for name in dict.fromkeys(names)]


def check_notes_folder(settings: ResearchSettings) -> None:
    """Check the setting.

    Raises:
        SettingsError: if the folder does not exist.
    """
    folder = settings.notes_folder
    if folder is not None and not folder.is_dir():
        raise SettingsError(
            f"research.notes_folder: {folder} is not a folder. Create it, or remove the setting to "
            "use the bundled notes."
        )


async def shared_note_tools(context: AgentContext) -> list[Tool]:
    """Create the note tools. All agents of the worker share one index."""
    folder = context.live.now.research.notes_folder or _CORPUS
    return note_tools(await context.share("notes", lambda: NotesIndex(folder)))


def configured_web_tools(context: AgentContext) -> list[Tool]:
    settings = context.live.now.research
    if settings.web_search == "none" and not settings.fetch_pages:
        return []
    from worker.tools.web import web_tools  # noqa: PLC0415  (the import takes a second)

    return web_tools(settings)
