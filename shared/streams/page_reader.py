"""Reading a stream in pages of limited size, so that readers cannot fill the memory.

An entry that is larger than a page is read only while the large entries that clients of this
process are still receiving leave room for it.
"""

import asyncio
from collections.abc import Callable

from shared.streams.event_stream import START, Cursor, Entry, EventStream, Page
from shared.telemetry.metrics import STREAM_CATCH_UPS

#: The bytes of a page.
PAGE_BYTES = 65_536
#: The bytes of large entries that all readers of a process may hold.
LARGE_ENTRY_BYTES = 32 * 2**20
RETRY_SECONDS = 0.2
#: Larger pages are processed in a thread, so that other streams continue meanwhile.
_THREAD_BYTES = 16_384


class LargeEntryBudget:
    """The bytes that large entries may use. It admits any entry while no other is held."""

    def __init__(self, total: int = LARGE_ENTRY_BYTES) -> None:
        self._total = total
        self.used = 0

    def take(self, size: int) -> bool:
        """Take bytes if they are left."""
        if self.used and self.used + size > self._total:
            return False
        self.used += size
        return True

    def give_back(self, size: int) -> None:
        self.used -= size


class PageReader:
    """Reads one stream. Call `release` when the last page is no longer used."""

    def __init__(self, stream: EventStream, run_id: str, budget: LargeEntryBudget) -> None:
        self._stream = stream
        self._run_id = run_id
        self._budget = budget
        #: The size of the next entry if it is larger than a page.
        self._next = 0
        #: The bytes of the budget that the last page holds.
        self._held = 0

    async def read(self, after: Cursor) -> Page:
        """Return the next page; no entries but `more` while there is no room for the next one.

        The caller must no longer hold the previous page.

        Raises:
            CursorLost: if the stream has no entry at the cursor.
        """
        self.release()
        if not self._next:
            page = await self._stream.read(self._run_id, after, max_bytes=PAGE_BYTES)
            if not page.too_large:
                return page
            self._next = page.too_large
        if not self._budget.take(self._next):
            STREAM_CATCH_UPS.labels("memory").inc()
            await asyncio.sleep(RETRY_SECONDS)
            return Page(b"", more=True)
        self._held, self._next = self._next, 0
        return await self._stream.read(self._run_id, after, max_bytes=self._held)

    def release(self) -> None:
        self._budget.give_back(self._held)
        self._held = 0


#: The budget of all readers of this process.
PROCESS_BUDGET = LargeEntryBudget()


async def read_pages(
    stream: EventStream, run_id: str, process: Callable[[list[Entry]], None]
) -> bool:
    """Pass all entries of a stream to `process`, page by page. Return whether there were any.

    `process` must not keep the entries. Large pages are processed in a thread.

    Raises:
        CursorLost: if the stream is lost meanwhile.
    """
    pages, cursor = PageReader(stream, run_id, PROCESS_BUDGET), START
    try:
        while True:
            page = await pages.read(cursor)
            entries, more = page.entries, page.more
            del page
            if entries:
                cursor = entries[-1].cursor
                if sum(len(entry.data) for entry in entries) < _THREAD_BYTES:
                    process(entries)
                else:
                    await asyncio.to_thread(process, entries)
            del entries
            if not more:
                return cursor != START
    finally:
        pages.release()
