"""What the API does with runs: accept, find, stop, and end the ones that nobody works on."""

import asyncio

import structlog

from api.chat_request import ChatRequest
from api.principal import Principal
from api.sse import ClientCursor
from shared.agents import CHAT_AGENT
from shared.closing import LOST, close_run
from shared.errors import CursorExpired, InvalidRequest, NotFound, RunInProgress
from shared.events import Abort, StreamEvent
from shared.follow import Follower
from shared.jobs import JobQueue, RunChat
from shared.live_settings import LiveSettings
from shared.redis import REDIS_AWAY
from shared.runs import Run, RunState, RunStore, new_run_id
from shared.stream import Closure, Cursor, EventStream

log = structlog.stdlib.get_logger()

#: How long a worker may take to end a run that it was told to stop.
_STOP_SECONDS = 5.0
#: How long a heartbeat waits to hear whether somebody works on a run.
_SETTLE_SECONDS = 2.0


class RunService:
    def __init__(
        self,
        *,
        runs: RunStore,
        queue: JobQueue,
        stream: EventStream,
        follower: Follower,
        live: LiveSettings,
    ) -> None:
        self._runs = runs
        self._queue = queue
        self._stream = stream
        self._follower = follower
        self._live = live

    async def accept(self, principal: Principal, chat: ChatRequest, request_id: str) -> Run:
        """Create the run, queue its job, wake a worker.

        Raises:
            RunInProgress: if the chat's answer is still being made, and is not to be superseded.
        """
        run_id = new_run_id()
        run = Run(
            id=run_id,
            chat_id=chat.id or f"chat_{run_id}",
            owner=principal.owner,
            message_id=chat.continued_message_id or f"msg_{run_id}",
            agent=chat.agent or CHAT_AGENT,
            model=chat.model or self._live.now.openai.default_model,
            request_id=request_id,
        )
        newest = await self._make_way(run, supersede=bool(chat.supersede)) if chat.id else None
        await self._runs.create(run)
        if not await self._queue.enqueue(_job(run, chat), owner=run.owner, after=newest):
            await self._runs.delete(run_id)
            raise RunInProgress
        log.info("run.accepted", run_id=run_id, agent=run.agent, messages=len(chat.messages))
        return run

    async def _make_way(self, run: Run, *, supersede: bool) -> str | None:
        """The id of the chat's newest run, which has ended."""
        newest = await self._queue.latest(run.owner, run.chat_id)
        live = await self._runs.get(newest) if newest else None
        if live is None or live.state.ended:
            return newest
        if supersede:
            await self.stop(live)
        elif await self._settle(live):
            raise RunInProgress
        return newest

    async def find(
        self, principal: Principal, chat_id: str, cursor: ClientCursor | None = None
    ) -> Run | None:
        """The run that a cursor belongs to, or the chat's newest.

        Raises:
            CursorExpired: if the cursor's run is no longer kept.
            NotFound: if it is not this principal's, or of another chat.
        """
        run_id = cursor.run_id if cursor else None
        run_id = run_id or await self._queue.latest(principal.owner, chat_id)
        run = await self._runs.get(run_id) if run_id else None
        if run is None and cursor is not None:
            raise CursorExpired
        if run is not None and (run.owner, run.chat_id) != (principal.owner, chat_id):
            raise NotFound
        return run

    async def place(self, run: Run, after: Cursor) -> Cursor | None:
        """Where to follow a run from; None if it has ended there.

        Raises:
            InvalidRequest: if its log has not come so far: the cursor is another's.
        """
        tail = await self._stream.tail(run.id)
        if after.offset > tail.offset:
            raise InvalidRequest(
                "Last-Event-ID: The answer has not come so far. Is it of another one?",
                field="Last-Event-ID",
            )
        if run.state.ended and after.offset == tail.offset:
            return None
        return after if after.attempt <= tail.attempt else Cursor(0, after.offset)

    async def stop(self, run: Run) -> Run:
        """End a run, and return when it has ended. The partial answer stays; ended runs stay so."""
        if run.state.ended:
            return run
        await self._runs.request_cancel(run.id)
        if worker_id := await self._queue.leased_by(run.id):
            await self._queue.tell(worker_id, f"stop {run.id}")
            await self._wait_for_end(run)
        await self._end(run, [Abort()], Closure(RunState.CANCELLED))
        return await self._runs.get(run.id) or run

    async def settle(self, run_id: str) -> bool:
        """End a run that nobody works on any more. False if there is no such run."""
        try:
            async with asyncio.timeout(_SETTLE_SECONDS):
                run = await self._runs.get(run_id)
                if run is not None and not run.state.ended:
                    await self._settle(run)
        except (*REDIS_AWAY, TimeoutError):
            return True  # nobody can tell: ask again at the next heartbeat
        return run is not None

    async def _settle(self, run: Run) -> bool:
        """Whether the run is live: a worker has it, or its job still waits for one."""
        if await self._queue.leased_by(run.id):
            return True
        if run.cancel:
            await self._end(run, [Abort()], Closure(RunState.CANCELLED))
            return False
        if await self._queue.queued(run.id):
            return True
        await self._end(run, LOST, Closure(RunState.FAILED, "lost"))
        return False

    async def _end(self, run: Run, ending: list[StreamEvent], closure: Closure) -> None:
        if await close_run(self._stream, run, ending, closure):
            log.info("run.ended", run_id=run.id, state=closure.state, error=closure.error)
            await self._queue.remove(run.id)

    async def _wait_for_end(self, run: Run) -> None:
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                with self._follower.follow(run.id) as following:
                    while not any(entry.ends for entry in await following.read()):
                        pass
        except TimeoutError:
            log.warning("run.stop_unheard", run_id=run.id)


def _job(run: Run, chat: ChatRequest) -> RunChat:
    return RunChat(
        run_id=run.id,
        chat_id=run.chat_id,
        message_id=run.message_id,
        request_id=run.request_id,
        agent=run.agent,
        model=run.model,
        tools=tuple(dict.fromkeys(chat.tools or ())),
        messages=chat.history(),
    )
