"""Erases chats: stops their live runs and deletes their runs, streams, and jobs."""

import asyncio
from dataclasses import dataclass

import structlog

from shared.errors import NotFound
from shared.queue.job_queue import JobQueue
from shared.runs.chat_index import ChatIndex
from shared.runs.control import RunControl
from shared.runs.store import RunStore
from shared.telemetry.logs import pseudonym

log = structlog.stdlib.get_logger()


@dataclass(frozen=True, slots=True)
class ChatEraser:
    chats: ChatIndex
    runs: RunStore
    queue: JobQueue
    run_control: RunControl

    async def erase(self, owner: str, chat_id: str) -> None:
        """Stop the chat's live runs, then delete its runs and their streams and jobs.

        Raises:
            NotFound: if the owner has no such chat.
        """
        run_ids = await self.chats.runs(owner, chat_id)
        found = await self.runs.get_many(run_ids)
        if not found:
            if run_ids:  # their webhooks are stored longer than the runs
                await self.chats.remove(owner, chat_id, run_ids)
            raise NotFound
        live = [run for run in found.values() if not run.state.ended]
        await asyncio.gather(*(self.run_control.stop(run) for run in live))
        # The index is last: if a step fails, the request can be repeated.
        for run in found.values():
            await self.queue.remove(run.id, queue=run.queue)
        await self.runs.erase(found)
        await self.chats.remove(owner, chat_id, run_ids)
        log.info("chat.erased", message="Chat erased", chat=pseudonym(chat_id), runs=len(found))
