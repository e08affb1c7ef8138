"""What the API does with runs: accept, find, stop, and end the ones that nobody works on."""

import asyncio
from typing import NamedTuple

import structlog

from api.auth.principal import Principal
from api.catalog.agent_directory import AgentDirectory
from api.chat.continuation import Continuation, Continuations
from api.chat.request import ChatRequest
from api.monitoring.request_metrics import count_accepted_run
from api.monitoring.tracing import enqueue_span
from api.streaming.sse import ClientCursor
from shared.agents.card import CHAT_AGENT, AgentCard
from shared.errors import CursorExpired, InvalidRequest, NotFound, RunInProgress, ToolCallNotPending
from shared.limits.rate_limit_status import RateLimitStatus
from shared.providers.names import parse_model_name, queue_for_model, resolve_requested_model
from shared.queue.job import RUN_CHAT, RunChat
from shared.queue.job_queue import JobQueue
from shared.redis.client import REDIS_UNAVAILABLE
from shared.redis.keys import MAIN_QUEUE
from shared.runs.admission import Admission, Admitted, Idempotency, Overtaken
from shared.runs.chat_index import ChatIndex
from shared.runs.control import RunControl
from shared.runs.finalize import RunEnding, RunFinalizer
from shared.runs.run import Run, new_run_id
from shared.runs.store import RunStore
from shared.settings import Settings
from shared.settings.live_settings import LiveSettings
from shared.streams.event_stream import Cursor, Entry, EventStream

log = structlog.stdlib.get_logger()

#: How long a heartbeat waits to hear whether somebody works on a run.
_SETTLE_SECONDS = 2.0


class Accepted(NamedTuple):
    run: Run
    #: What is left of the owner's rate, where there is one.
    allowance: RateLimitStatus | None


class RunService:
    def __init__(
        self,
        *,
        agents: AgentDirectory,
        runs: RunStore,
        admission: Admission,
        chats: ChatIndex,
        queue: JobQueue,
        stream: EventStream,
        finalizer: RunFinalizer,
        orders: RunControl,
        live: LiveSettings,
    ) -> None:
        self._agents = agents
        self._runs = runs
        self._admission = admission
        self._chats = chats
        self._queue = queue
        self._stream = stream
        self._finalizer = finalizer
        self._orders = orders
        self._live = live
        self._continuations = Continuations(runs, chats, stream)

    async def accept(
        self,
        principal: Principal,
        chat: ChatRequest,
        request_id: str,
        idempotency_key: str | None = None,
    ) -> Accepted:
        """Let the run in, queue its job, wake a worker.

        Raises:
            InvalidRequest: if there is no such agent, or the model may not be named.
            RunInProgress: if the chat's answer is still being made, and is not to be superseded.
            TooManyRequests: if a limit is reached.
            IdempotencyMismatch: if the key was used for another request.
            ToolCallNotPending: if no approval or tool call waits for the response.
            ToolCallsExpired: if the tool calls are no longer stored.
        """
        idempotency = _idempotency(idempotency_key, chat)
        if idempotency and (again := await self._asked_again(principal, chat, idempotency)):
            return Accepted(again, None)
        continued = await self._continuations.of(principal.owner, chat)
        named = continued.run.agent if continued else chat.agent or CHAT_AGENT
        agent = await self._agents.find(named)
        _check_client_tools(chat, agent)
        tools = _display_tools(chat, agent)
        run = self._new_run(principal, chat, agent, request_id, continued)
        with enqueue_span(RUN_CHAT, run.id, run.queue, after=continued and continued.run) as trace:
            run = run.model_copy(update={"traceparent": trace.get("traceparent")})
            job = _job(run, chat, tools, continued, trace)
            admitted = await self._admit(run, job, chat, idempotency)
        if admitted.run_id != run.id:
            log.info("run.asked_again", run_id=admitted.run_id)
            return Accepted(await self._known(admitted.run_id), admitted.allowance)
        count_accepted_run(run.agent)
        log.info("run.accepted", run_id=run.id, agent=run.agent, messages=len(chat.messages))
        if admitted.superseded:
            await self._supersede(admitted.superseded, run)
        return Accepted(run, admitted.allowance)

    async def _asked_again(
        self, principal: Principal, chat: ChatRequest, idempotency: Idempotency
    ) -> Run | None:
        """The run of an answer that comes again: by now the calls have it."""
        if not chat.claims():
            return None
        run_id = await self._admission.known(principal.owner, idempotency)
        return await self._runs.get(run_id) if run_id else None

    def _new_run(
        self,
        principal: Principal,
        chat: ChatRequest,
        agent: AgentCard,
        request_id: str,
        continued: Continuation | None,
    ) -> Run:
        run_id, settings = new_run_id(), self._live.now
        if continued is not None:
            earlier = continued.run
            return Run(
                id=run_id,
                chat_id=earlier.chat_id,
                owner=earlier.owner,
                message_id=earlier.message_id,
                agent=agent.name,
                queue=_queue(settings, agent, earlier.model),
                model=earlier.model,
                request_id=request_id,
                continues=(*earlier.continues, earlier.id),
            )
        model = agent.model or resolve_requested_model(settings, chat.model)
        return Run(
            id=run_id,
            chat_id=chat.id or f"chat_{run_id}",
            owner=principal.owner,
            message_id=chat.continued_message_id or f"msg_{run_id}",
            agent=agent.name,
            queue=_queue(settings, agent, model),
            model=model,
            request_id=request_id,
        )

    async def _admit(
        self, run: Run, job: RunChat, chat: ChatRequest, idempotency: Idempotency | None
    ) -> Admitted:
        for _ in range(2):
            outcome = await self._admission.admit(
                run,
                job,
                self._live.now.limits,
                supersede=bool(chat.supersede),
                idempotency=idempotency,
            )
            if isinstance(outcome, Admitted):
                return outcome
            if isinstance(outcome, Overtaken):
                raise ToolCallNotPending
            occupant = await self._runs.get(outcome.run_id)
            if occupant is not None and not occupant.state.ended and await self._settle(occupant):
                break
        raise RunInProgress

    async def _known(self, run_id: str) -> Run:
        run = await self._runs.get(run_id)
        if run is None:
            raise CursorExpired
        return run

    async def _supersede(self, run_id: str, by: Run) -> None:
        """Stop a run, then let the next begin. Its stop is recorded: nothing here need succeed."""
        try:
            if (superseded := await self._runs.get(run_id)) is not None:
                await self._orders.stop(superseded)
            await self._queue.release(by.id, queue=by.queue)
        except REDIS_UNAVAILABLE as error:
            log.warning("run.supersede_unheard", run_id=run_id, error=type(error).__name__)

    async def find(
        self, principal: Principal, chat_id: str, cursor: ClientCursor | None = None
    ) -> Run | None:
        """The run that a cursor belongs to, or the chat's newest.

        Raises:
            CursorExpired: if the cursor's run is no longer kept.
            NotFound: if it is not this principal's, or of another chat.
        """
        run_id = cursor.run_id if cursor else None
        run_id = run_id or await self._chats.newest_run(principal.owner, chat_id)
        run = await self._runs.get(run_id) if run_id else None
        if run is None and cursor is not None:
            raise CursorExpired
        if run is not None and (run.owner, run.chat_id) != (principal.owner, chat_id):
            raise NotFound
        return run

    async def earlier(self, run: Run) -> list[Entry] | None:
        """What the runs that this one continues have said; None if that is no longer kept."""
        return await self._continuations.logs(run, own=False)

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

    async def settle(self, run_id: str, at: Cursor) -> bool:
        """End a run that nobody works on any more. False if nothing is left to follow from there.

        That is so where there is no such run; and where Redis has lost what a reader has seen, and
        the run has ended before that place.
        """
        try:
            async with asyncio.timeout(_SETTLE_SECONDS):
                run = await self._runs.get(run_id)
                if run is not None and run.state.ended:
                    return (await self._stream.tail(run_id)).offset > at.offset
                if run is not None:
                    await self._settle(run)
        except (*REDIS_UNAVAILABLE, TimeoutError):
            return True  # nobody can tell: ask again at the next heartbeat
        return run is not None

    async def _settle(self, run: Run) -> bool:
        """Whether the run is live: a worker has it, or its job still waits for one."""
        if await self._queue.leased_by(run.id):
            return True
        if run.cancel:
            await self._finalizer.end(run, RunEnding.cancelled())
            return False
        if await self._queue.queued(run.id, queue=run.queue):
            return True
        await self._finalizer.end(run, RunEnding.lost(run.request_id))
        return False


def _check_client_tools(chat: ChatRequest, agent: AgentCard) -> None:
    for index, tool in enumerate(chat.client_tools or ()):
        if tool.name in agent.tools:
            field = f"clientTools[{index}].name"
            raise InvalidRequest(f"{field}: The agent has a tool of this name.", field=field)


def _queue(settings: Settings, agent: AgentCard, model: str) -> str:
    """An agent's own queue goes before its model's."""
    if agent.queue != MAIN_QUEUE:
        return agent.queue
    return queue_for_model(settings, parse_model_name(settings, model))


def _display_tools(chat: ChatRequest, agent: AgentCard) -> tuple[str, ...]:
    # An older worker's card of the chat agent does not say so.
    takes_them = agent.display_tools or agent.name == CHAT_AGENT
    return chat.display_tools() if takes_them else ()


def _job(
    run: Run,
    chat: ChatRequest,
    tools: tuple[str, ...],
    continued: Continuation | None,
    trace: dict[str, str],
) -> RunChat:
    return RunChat(
        run_id=run.id,
        chat_id=run.chat_id,
        message_id=run.message_id,
        request_id=run.request_id,
        agent=run.agent,
        model=run.model,
        tools=tools,
        messages=chat.history_before(continued.steps) if continued else chat.history(),
        client_tools=tuple(tool.normal() for tool in chat.client_tools or ()),
        approvals=chat.asks,
        continues=run.continues,
        answers=continued.answers if continued else {},
        trace=trace,
    )


def _idempotency(key: str | None, chat: ChatRequest) -> Idempotency | None:
    """The request as it was understood: what a proxy changes in its bytes is no other request."""
    if key is None:
        return None
    return Idempotency.of(key, chat.model_dump_json(exclude_unset=True).encode())
