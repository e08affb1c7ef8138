"""The full-text index over a folder of notes: SQLite FTS5, ranked by BM25.

It lives in memory, is made at the first question, and follows the folder: a file that was changed,
added or removed is so in the next answer. SQLite runs on a thread of its own.
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
#: Words of questions: in a small folder they would be rare enough to count.
_STOP_WORDS = """
a an and are as at be by can do does for from how i if in is it my of on or our should that the
there this to was we what when where which who why will with you your
"""
#: How long the folder is taken to be as it was seen last.
_SCAN_SECONDS = 1.0

_SCHEMA = """
CREATE VIRTUAL TABLE passages USING fts5(
    id UNINDEXED, path UNINDEXED, title, heading, text,
    tokenize = "porter unicode61 remove_diacritics 2"
)
"""
#: A hit in the title counts most, then one in the headings.
_SEARCH = """
SELECT id, path, title, heading, text, snippet(passages, 4, '', '', ' … ', 48)
FROM passages WHERE passages MATCH ? ORDER BY bm25(passages, 0, 0, 6, 3, 1) LIMIT ?
"""


class SearchHit(NamedTuple):
    passage: Passage
    #: The words around what was found.
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
        """The passages that fit a query in plain words best, the best first."""
        return await self._on_thread(lambda: self._search(query, limit))

    async def read(self, passage_id: str) -> Passage | None:
        """A passage by its id."""
        return await self._on_thread(lambda: self._read(passage_id))

    async def _on_thread(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _search(self, query: str, limit: int) -> list[SearchHit]:
        terms = _terms(query)
        if not terms:
            return []
        match = " OR ".join(f'"{term}"' for term in terms)
        rows = self._fresh().execute(_SEARCH, (match, limit))
        return [SearchHit(Passage(*row[:5]), row[5]) for row in rows]

    def _read(self, passage_id: str) -> Passage | None:
        query = "SELECT id, path, title, heading, text FROM passages WHERE id = ?"
        row = self._fresh().execute(query, (passage_id,)).fetchone()
        return Passage(*row) if row else None

    def _close(self) -> None:
        if self._database is not None:
            self._database.close()

    def _fresh(self) -> sqlite3.Connection:
        """The database, in step with the folder."""
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
        gone = self._seen.keys() - found.keys()
        for path in (*changed, *gone):
            database.execute("DELETE FROM passages WHERE path = ?", (path,))
        for path in changed:
            rows = split_document(path, _text(self._folder / path))
            database.executemany("INSERT INTO passages VALUES (?, ?, ?, ?, ?)", rows)
        database.commit()
        self._seen = found
        if changed or gone:
            log.info("notes.indexed", files=len(found), changed=len(changed), removed=len(gone))

    def _files(self) -> Iterator[tuple[str, tuple[int, int]]]:
        """The notes below the folder, with what tells a changed one. No link leads out."""
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
                log.warning("notes.too_many", most=_MAX_FILES)
                return
            yield path.as_posix(), (stat.st_mtime_ns, stat.st_size)


def _terms(query: str) -> list[str]:
    words = re.findall(r"\w+", query.lower())
    stop_words = _STOP_WORDS.split()
    return [word for word in words if word not in stop_words][:_MAX_TERMS] or words[:_MAX_TERMS]


def _text(file: Path) -> str:
    """Nothing, for a file that is gone by now or may not be read."""
    try:
        return file.read_text(errors="replace")
    except OSError as error:
        log.warning("notes.unreadable", error=type(error).__name__)
        return ""
