"""The tools that search and read the operator's notes."""

from pydantic_ai import ModelRetry, Tool, ToolReturn
from typing_extensions import TypedDict

from shared.streams.events import SourceDocument
from worker.notes.index import NotesIndex, SearchHit

_LIMIT = 6
_MEDIA_TYPES = {"txt": "text/plain", "html": "text/html", "htm": "text/html"}


class FoundNote(TypedDict):
    id: str
    title: str
    heading: str
    excerpt: str


class ReadNote(TypedDict):
    id: str
    title: str
    heading: str
    text: str


def note_tools(index: NotesIndex) -> list[Tool]:
    async def search_notes(query: str) -> list[FoundNote]:
        """Search the notes. Returns excerpts, best match first. Read a note before you use it."""
        return [_search_result(hit) for hit in await index.search(query, _LIMIT)]

    async def read_note(id: str) -> ToolReturn[ReadNote]:  # noqa: A002  (the parameter's name in the tool schema)
        """Read a note that search_notes returned. It is shown to the user as a source."""
        passage = await index.read(id)
        if passage is None:
            raise ModelRetry(f"There is no note {id!r}. Use an id that search_notes returned.")
        _, path, title, heading, text, continued = passage
        if continued:
            text = f"{text}\n\n[The section continues in {continued}.]"
        source = SourceDocument(
            source_id=passage.id,
            media_type=_media_type(path),
            title=_source_title(title, heading),
            filename=path,
        )
        note = ReadNote(id=passage.id, title=title, heading=heading, text=text)
        return ToolReturn(note, metadata=[source])

    return [Tool(search_notes), Tool(read_note)]


def _source_title(title: str, heading: str) -> str:
    """Format a source as `Title: Heading`. Omit a first heading that repeats the title."""
    below = heading.removeprefix(title).removeprefix(" > ")
    return f"{title}: {below}" if below else title


def _search_result(hit: SearchHit) -> FoundNote:
    passage = hit.passage
    return FoundNote(
        id=passage.id, title=passage.title, heading=passage.heading, excerpt=hit.snippet
    )


def _media_type(path: str) -> str:
    return _MEDIA_TYPES.get(path.rpartition(".")[2].lower(), "text/markdown")
