"""The tools over the operator's notes: search them, and read what was found."""

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
        """Search the notes. Returns excerpts, the best first; read what you want to use."""
        return [_found(hit) for hit in await index.search(query, _LIMIT)]

    async def read_note(id: str) -> ToolReturn[ReadNote]:  # noqa: A002  (the model's word for it)
        """Read a note that a search has found. The user sees it as a source of your answer."""
        passage = await index.read(id)
        if passage is None:
            raise ModelRetry(f"There is no note {id!r}. Take an id from search_notes.")
        _, path, title, heading, text = passage
        source = SourceDocument(
            source_id=passage.id,
            media_type=_media_type(path),
            title=_cited(title, heading),
            filename=path,
        )
        note = ReadNote(id=passage.id, title=title, heading=heading, text=text)
        return ToolReturn(note, metadata=[source])

    return [Tool(search_notes), Tool(read_note)]


def _cited(title: str, heading: str) -> str:
    """`Workers: When one is killed`; a first heading is often the title once more."""
    below = heading.removeprefix(title).removeprefix(" > ")
    return f"{title}: {below}" if below else title


def _found(hit: SearchHit) -> FoundNote:
    passage = hit.passage
    return FoundNote(
        id=passage.id, title=passage.title, heading=passage.heading, excerpt=hit.snippet
    )


def _media_type(path: str) -> str:
    return _MEDIA_TYPES.get(path.rpartition(".")[2].lower(), "text/markdown")
