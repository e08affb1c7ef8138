"""Reading the message of an ended run as JSON."""

from dataclasses import dataclass
from typing import Any

from shared.errors import CursorLost, MessageExpired, NotFound, RunInProgress
from shared.runs.chat_index import ChatIndex
from shared.runs.run import Run
from shared.runs.store import RunStore
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
        """Return the newest run that wrote to the message, by default to the newest message."""
        run_ids = await self.chats.runs(owner, chat_id)
        fields = await self.runs.fields_of(run_ids, ("message_id",))
        for run_id in run_ids:  # newest first
            [stored_id] = fields[run_id]
            if stored_id is not None and message_id in (None, stored_id):
                run = await self.runs.get(run_id)
                if run is not None:
                    return run
        raise NotFound

    async def _add_run(self, run_id: str, message: UIMessageBuilder) -> None:
        with self.followers.replay(run_id, merged=True) as replay:
            try:
                while not replay.ended:
                    message.add(await replay.read_page())
            except CursorLost as error:
                raise MessageExpired from error
