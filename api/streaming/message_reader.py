"""Reading the message of an ended run as JSON."""

from dataclasses import dataclass
from typing import Any

from shared.errors import CursorLost, MessageExpired, NotFound, RunInProgress
from shared.runs.chat_index import ChatIndex
from shared.runs.run import Run
from shared.runs.store import RunStore
from shared.streams.event_stream import START
from shared.streams.follow import FollowerFactory
from shared.streams.ui_message import UIMessageBuilder


@dataclass(frozen=True, slots=True)
class MessageReader:
    runs: RunStore
    chats: ChatIndex
    followers: FollowerFactory

    async def read(
        self, owner: str, chat_id: str, message_id: str | None = None
    ) -> tuple[Run, dict[str, Any]]:
        """Return the message as a `UIMessage`, and the run that ended it; by default the newest.

        Raises:
            NotFound: if the owner has no such chat or message.
            RunInProgress: if the message is still being written.
            MessageExpired: if a part of it is no longer stored.
        """
        run = await self._find(owner, chat_id, message_id)
        if not run.state.ended:
            raise RunInProgress
        message = UIMessageBuilder(run.message_id)
        for run_id in (*run.continues, run.id):
            await self._add_run(run_id, message)
        return run, message.build()

    async def _find(self, owner: str, chat_id: str, message_id: str | None) -> Run:
        run_ids = await self.chats.runs(owner, chat_id)
        found = await self.runs.get_many(run_ids)
        stored = (found[run_id] for run_id in run_ids if run_id in found)  # newest first
        for run in stored:
            if message_id in (None, run.message_id):
                return run
        raise NotFound

    async def _add_run(self, run_id: str, message: UIMessageBuilder) -> None:
        cursor, more = START, True
        with self.followers.pages(run_id) as pages:
            while more:
                try:
                    page = await pages.read(cursor)
                except CursorLost as error:
                    raise MessageExpired from error
                message.add(page.entries)
                cursor, more = page.entries[-1].cursor if page.entries else cursor, page.more
        if cursor == START:
            raise MessageExpired
