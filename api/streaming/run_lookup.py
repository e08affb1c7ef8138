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
        """Return the run that a cursor belongs to, or else the chat's live run, or the newest one.

        Raises:
            RunExpired: if the cursor's run is no longer stored, or belongs to another principal.
            NotFound: if it belongs to another chat.
        """
        if cursor and cursor.run_id:
            run = await self._runs.get(cursor.run_id)
        else:
            run = await self._current(principal.owner, chat_id)
        if run is not None and run.owner != principal.owner:
            run = None
        if run is None and cursor is not None:
            raise RunExpired
        if run is not None and run.chat_id != chat_id:
            raise NotFound
        return run

    async def find_chat_or_run(self, principal: Principal, name: str) -> Run | None:
        """Return the current run of the chat with this id, or else the run with this id."""
        run = await self._current(principal.owner, name) or await self._runs.get(name)
        return run if run is not None and run.owner == principal.owner else None

    async def waiting(self, principal: Principal, chat_id: str) -> list[Run]:
        """Return the runs that wait for the chat's live run, in order."""
        return (await self._live(principal.owner, chat_id))[1:]

    async def _current(self, owner: str, chat_id: str) -> Run | None:
        """Return the live run that no other is before, or else the newest run."""
        if live := await self._live(owner, chat_id):
            return live[0]
        run_id = await self._chats.newest_run(owner, chat_id)
        return await self._runs.get(run_id) if run_id else None

    async def _live(self, owner: str, chat_id: str) -> list[Run]:
        found = await self._runs.get_many(await self._chats.in_order(owner, chat_id))
        return [run for run in found.values() if not run.state.ended]

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
