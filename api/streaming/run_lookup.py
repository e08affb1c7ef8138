"""Finding the run that a client wants to follow."""

from api.auth.principal import Principal
from api.streaming.cursor import ClientCursor
from api.streaming.message_replay import read_runs
from shared.errors import NotFound, RunExpired
from shared.runs.chat_index import ChatIndex
from shared.runs.run import Run
from shared.runs.store import RunStore
from shared.streams.event_stream import Cursor, Entry, EventStream


class RunLookup:
    """Finds runs and checks cursors."""

    def __init__(self, runs: RunStore, chats: ChatIndex, stream: EventStream) -> None:
        self._runs = runs
        self._chats = chats
        self._stream = stream

    async def find(
        self, principal: Principal, chat_id: str, cursor: ClientCursor | None = None
    ) -> Run | None:
        """Return the run that a cursor belongs to, or else the chat's newest run.

        Raises:
            RunExpired: if the cursor's run is no longer stored, or belongs to another principal.
            NotFound: if it belongs to another chat.
        """
        run_id = cursor.run_id if cursor else None
        run_id = run_id or await self._chats.newest_run(principal.owner, chat_id)
        run = await self._runs.get(run_id) if run_id else None
        if run is not None and run.owner != principal.owner:
            run = None
        if run is None and cursor is not None:
            raise RunExpired
        if run is not None and run.chat_id != chat_id:
            raise NotFound
        return run

    async def is_over(self, run: Run, after: Cursor) -> bool:
        """Return whether the run has ended and nothing follows the cursor.

        Raises:
            CursorLost: if the run's stream has no event at the cursor.
        """
        page = await self._stream.read(run.id, after, max_bytes=0)
        return run.state.ended and not page.more

    async def earlier_entries(self, run: Run) -> list[Entry] | None:
        """Return the entries of the runs that this one continues; None if some are not stored."""
        return await read_runs(self._stream, run.continues)
