"""Finding the run that a client wants to follow."""

from api.auth.principal import Principal
from api.streaming.cursor import ClientCursor
from shared.errors import CursorLost, NotFound, RunExpired
from shared.runs.chat_index import ChatIndex
from shared.runs.run import Run
from shared.runs.store import RunStore
from shared.streams.event_stream import START, EventStream


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

    async def is_over(self, run: Run, cursor: ClientCursor | None = None) -> bool:
        """Return whether the run has ended and nothing follows the cursor.

        Raises:
            CursorLost: if the stream that the cursor belongs to has no event there.
        """
        if cursor is not None and cursor.source not in (None, run.id):
            if cursor.source not in run.continues:
                raise CursorLost
            await self._stream.read(cursor.source, cursor.cursor, max_bytes=0)
            return False
        after = cursor.cursor if cursor else START
        page = await self._stream.read(run.id, after, max_bytes=0)
        return run.state.ended and not page.more

    async def earlier_runs(self, run: Run) -> tuple[str, ...] | None:
        """Return the runs that this one continues; None if the stream of one is not stored."""
        tails = [await self._stream.tail(run_id) for run_id in run.continues]
        return None if START in tails else run.continues
