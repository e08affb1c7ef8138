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
            run = await self.find_run(principal, chat_id, cursor.run_id)
        else:
            run = _check_owner(await self._current(principal.owner, chat_id), principal, chat_id)
        if run is None and cursor is not None:
            raise RunExpired
        return run

    async def find_run(self, principal: Principal, chat_id: str, run_id: str) -> Run | None:
        """Return the run with this id, unless it belongs to another principal.

        Raises:
            NotFound: if it belongs to another chat.
        """
        return _check_owner(await self._runs.get(run_id), principal, chat_id)

    async def find_chat_or_run(self, principal: Principal, name: str) -> Run | None:
        """Return the current run of the chat with this id, or else the run with this id."""
        run = await self._current(principal.owner, name) or await self._runs.get(name)
        return run if run is not None and run.owner == principal.owner else None

    async def behind(self, run: Run) -> list[Run]:
        """Return the runs of its chat that wait for this one, in order.

        If it has ended, one of them may be live.
        """
        live = await self._live(run.owner, run.chat_id)
        ids = [other.id for other in live]
        return live[ids.index(run.id) + 1 :] if run.id in ids else live

    async def _current(self, owner: str, chat_id: str) -> Run | None:
        """Return the first live run of the chat, or else its newest run."""
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


def _check_owner(run: Run | None, principal: Principal, chat_id: str) -> Run | None:
    """Return None for the run of another principal.

    Raises:
        NotFound: if the run belongs to another chat.
    """
    if run is None or run.owner != principal.owner:
        return None
    if run.chat_id != chat_id:
        raise NotFound
    return run
