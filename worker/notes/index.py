"""A full-text index over a folder of notes: SQLite FTS5, ranked by BM25.

The index is in memory. The first search builds it, and later searches apply changes in the folder.
SQLite runs in a dedicated thread.
"""

import asyncio
import sqlite3
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, Self, TypeVar

import structlog

from shared.surrogates import replace_lone_surrogates
from worker.notes.document import split_document
from worker.notes.excerpt import excerpt
from worker.notes.folder import NoteFile, NoteSkipped, find_notes, read_note
from worker.notes.passage import Passage
from worker.notes.terms import indexed_terms, query_terms

log = structlog.stdlib.get_logger()

_T = TypeVar("_T")

#: The index needs about five times the size of the notes.
_MAX_TOTAL_BYTES = 64 * 1024 * 1024
_MAX_FILES = 20_000
_MAX_QUERY = 1000
_MAX_TERMS = 64
#: Minimum time between two scans of the folder.
_SCAN_SECONDS = 1.0

#: `terms` contains the terms of each passage, which `terms.py` has already split and normalized.
_SCHEMA = """
CREATE TABLE passages (
    id TEXT PRIMARY KEY, path TEXT, title TEXT, heading TEXT, text TEXT, continued TEXT
);
CREATE INDEX passages_by_path ON passages (path);
CREATE VIRTUAL TABLE terms USING fts5(title, heading, text, tokenize = "ascii", detail = column);
"""
#: A match in the title has the highest weight, then one in the headings.
_SEARCH = """
SELECT passages.* FROM terms JOIN passages ON passages.rowid = terms.rowid
WHERE terms MATCH ? ORDER BY bm25(terms, 6, 3, 1) LIMIT ?
"""


class SearchHit(NamedTuple):
    passage: Passage
    #: An excerpt around the match.
    snippet: str


class NotesIndex:
    """The full-text index of a folder of notes. Use it as an async context manager."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="notes")
        self._database: sqlite3.Connection | None = None
        self._seen: dict[str, NoteFile] = {}
        self._scanned_at = 0.0
        self._first_left_out = ""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._on_thread(self._close)
        self._thread.shutdown(wait=False)

    async def search(self, query: str, limit: int = 5) -> list[SearchHit]:
        """Return the passages that match a plain-text query, best match first."""
        return await self._on_thread(lambda: self._search(query, limit))

    async def read(self, passage_id: str) -> Passage | None:
        """Return the passage with this id."""
        return await self._on_thread(lambda: self._read(passage_id))

    async def _on_thread(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _search(self, query: str, limit: int) -> list[SearchHit]:
        terms = query_terms(query[:_MAX_QUERY])[:_MAX_TERMS]
        if not terms:
            return []
        match = " OR ".join(f'"{term}"' for term in terms)
        passages = [Passage(*row) for row in self._rows(_SEARCH, match, limit)]
        return [SearchHit(passage, excerpt(passage.text, terms)) for passage in passages]

    def _read(self, passage_id: str) -> Passage | None:
        rows = self._rows("SELECT * FROM passages WHERE id = ?", passage_id)
        return Passage(*rows[0]) if rows else None

    def _rows(self, query: str, *values: str | int) -> list[tuple[str, ...]]:
        # Arguments of a model may contain lone surrogates, which SQLite does not accept.
        encodable = [replace_lone_surrogates(value) for value in values]
        return self._updated_database().execute(query, encodable).fetchall()

    def _close(self) -> None:
        if self._database is not None:
            self._database.close()

    def _updated_database(self) -> sqlite3.Connection:
        """Return the database after applying changes in the folder."""
        if self._database is None:
            self._database = sqlite3.connect(":memory:")
            self._database.executescript(_SCHEMA)
        if time.monotonic() - self._scanned_at >= _SCAN_SECONDS:
            self._scan(self._database)
            self._scanned_at = time.monotonic()
        return self._database

    def _scan(self, database: sqlite3.Connection) -> None:
        found = {note.path: note for note in self._notes()}
        changed = [note for path, note in found.items() if self._seen.get(path) != note]
        removed = self._seen.keys() - found.keys()
        for path in (*(note.path for note in changed), *removed):
            _remove(database, path)
        skipped = 0
        for note in changed:
            if reason := note.skipped or _add(database, note):
                skipped += 1
                log.warning(
                    "notes.skipped",
                    message="A file in the notes folder is not indexed",
                    path=note.path,
                    reason=reason,
                )
        database.commit()
        self._seen = found
        if changed or removed:
            log.info(
                "notes.indexed",
                message="Index of the notes folder updated",
                files=sum(note.skipped is None for note in found.values()),
                changed=len(changed) - skipped,
                removed=len(removed),
                skipped=skipped,
            )

    def _notes(self) -> list[NoteFile]:
        """Return the files in the folder, within the limits on their number and size."""
        notes: list[NoteFile] = []
        total = 0
        for note in find_notes(self._folder):
            total += 0 if note.skipped else note.version[1]
            if len(notes) >= _MAX_FILES or total > _MAX_TOTAL_BYTES:
                self._warn_about_size(note)
                break
            notes.append(note)
        return notes

    def _warn_about_size(self, first: NoteFile) -> None:
        """Log the first file that is left out, unless it has been logged."""
        if first.path == self._first_left_out:
            return
        self._first_left_out = first.path
        log.warning(
            "notes.too_many",
            message="The notes folder is too large; files from this path on are not indexed",
            path=first.path,
            max_files=_MAX_FILES,
            max_bytes=_MAX_TOTAL_BYTES,
        )


def _add(database: sqlite3.Connection, note: NoteFile) -> str | None:
    """Add a note to the index. Return the reason if it cannot be indexed."""
    try:
        _insert(database, split_document(note.path, read_note(note)))
    except NoteSkipped as error:
        return str(error)
    except Exception as error:  # noqa: BLE001  (one note must not disable the others)
        _remove(database, note.path)
        return type(error).__name__
    return None


def _insert(database: sqlite3.Connection, passages: Sequence[Passage]) -> None:
    for passage in passages:
        row = database.execute("INSERT INTO passages VALUES (?, ?, ?, ?, ?, ?)", passage).lastrowid
        terms = map(indexed_terms, (passage.title, passage.heading, passage.text))
        database.execute(
            "INSERT INTO terms (rowid, title, heading, text) VALUES (?, ?, ?, ?)", (row, *terms)
        )


def _remove(database: sqlite3.Connection, path: str) -> None:
    database.execute(
        "DELETE FROM terms WHERE rowid IN (SELECT rowid FROM passages WHERE path = ?)", (path,)
    )
    database.execute("DELETE FROM passages WHERE path = ?", (path,))
