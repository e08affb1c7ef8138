"""A full-text index over a folder of notes: SQLite FTS5, ranked by BM25.

The index is in memory. The first search builds it, and later searches apply changes in the folder.
SQLite runs in a dedicated thread.
"""

import asyncio
import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, Self, TypeVar

import structlog

from worker.notes.document import SUFFIXES, split_document
from worker.notes.passage import Passage

log = structlog.stdlib.get_logger()

_T = TypeVar("_T")

#: Larger files are data, not notes.
_MAX_FILE_BYTES = 2 * 1024 * 1024
_MAX_FILES = 20_000
_MAX_TERMS = 32
#: Common words, which in a small folder would be rare enough to affect the ranking.
_STOP_WORDS = """
a an and are as at be by can do does for from how i if in is it my of on or our should that the
there this to was we what when where which who why will with you your
"""
#: Minimum time between two scans of the folder.
_SCAN_SECONDS = 1.0

_SCHEMA = """
CREATE VIRTUAL TABLE passages USING fts5(
    id UNINDEXED, path UNINDEXED, title, heading, text,
    tokenize = "porter unicode61 remove_diacritics 2"
)
"""
#: A match in the title has the highest weight, then one in the headings.
_SEARCH = """
SELECT id, path, title, heading, text, snippet(passages, 4, '', '', ' … ', 48)
FROM passages WHERE passages MATCH ? ORDER BY bm25(passages, 0, 0, 6, 3, 1) LIMIT ?
"""


class SearchHit(NamedTuple):
    passage: Passage
    #: An excerpt around the match.
    snippet: str


class NotesIndex:
    """Use as an async context manager."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="notes")
        self._database: sqlite3.Connection | None = None
        self._seen: dict[str, tuple[int, int]] = {}
        self._scanned_at = 0.0

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
        terms = _terms(query)
        if not terms:
            return []
        match = " OR ".join(f'"{term}"' for term in terms)
        rows = self._updated_database().execute(_SEARCH, (match, limit))
        return [SearchHit(Passage(*row[:5]), row[5]) for row in rows]

    def _read(self, passage_id: str) -> Passage | None:
        query = "SELECT id, path, title, heading, text FROM passages WHERE id = ?"
        row = self._updated_database().execute(query, (passage_id,)).fetchone()
        return Passage(*row) if row else None

    def _close(self) -> None:
        if self._database is not None:
            self._database.close()

    def _updated_database(self) -> sqlite3.Connection:
        """Return the database after applying changes in the folder."""
        if self._database is None:
            self._database = sqlite3.connect(":memory:")
            self._database.execute(_SCHEMA)
        if time.monotonic() - self._scanned_at >= _SCAN_SECONDS:
            self._scan(self._database)
            self._scanned_at = time.monotonic()
        return self._database

    def _scan(self, database: sqlite3.Connection) -> None:
        found = dict(self._files())
        changed = [path for path, state in found.items() if self._seen.get(path) != state]
        removed = self._seen.keys() - found.keys()
        for path in (*changed, *removed):
            database.execute("DELETE FROM passages WHERE path = ?", (path,))
        for path in changed:
            rows = split_document(path, _text(self._folder / path))
            database.executemany("INSERT INTO passages VALUES (?, ?, ?, ?, ?)", rows)
        database.commit()
        self._seen = found
        if changed or removed:
            log.info(
                "notes.indexed",
                message="Index of the notes folder updated",
                files=len(found),
                changed=len(changed),
                removed=len(removed),
            )

    def _files(self) -> Iterator[tuple[str, tuple[int, int]]]:
        """Yield the path and the version of each note. Links out of the folder are ignored."""
        count = 0
        for file in sorted(self._folder.rglob("*")):
            path = file.relative_to(self._folder)
            if file.suffix.lower() not in SUFFIXES or any(p.startswith(".") for p in path.parts):
                continue
            if not file.is_file() or not file.resolve().is_relative_to(self._folder):
                continue
            stat = file.stat()
            if stat.st_size > _MAX_FILE_BYTES:
                continue
            count += 1
            if count > _MAX_FILES:
                log.warning(
                    "notes.too_many",
                    message="The notes folder has too many files; the rest is not indexed",
                    most=_MAX_FILES,
                )
                return
            yield path.as_posix(), (stat.st_mtime_ns, stat.st_size)


def _terms(query: str) -> list[str]:
    words = re.findall(r"\w+", query.lower())
    stop_words = _STOP_WORDS.split()
    return [word for word in words if word not in stop_words][:_MAX_TERMS] or words[:_MAX_TERMS]


def _text(file: Path) -> str:
    """Read a note. A file that is missing or unreadable counts as empty."""
    try:
        return file.read_text(errors="replace")
    except OSError as error:
        log.warning(
            "notes.unreadable", message="A note could not be read", error=type(error).__name__
        )
        return ""
