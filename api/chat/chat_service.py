"""Accepts chat requests: creates the run of a request and queues its job."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import NamedTuple

import structlog

from api.auth.principal import Principal
from api.catalog.agent_directory import AgentDirectory
from api.chat.continuation import Continuation, ContinuationResolver
from api.chat.request import ChatRequest
from api.chat.request_settings import check_allowed_settings
from api.chat.system_messages import apply_system_messages, check_system_messages
from api.monitoring.request_metrics import count_accepted_run
from api.monitoring.tracing import enqueue_span
from api.streaming.orphan_reaper import OrphanReaper
from shared.agents.agent_card import CHAT_AGENT, AgentCard
from shared.chat.messages import Message
from shared.errors import InvalidRequest, RepeatedRunExpired, RunInProgress, ToolCallNotPending
from shared.providers.names import parse_model_name, queue_for_model, resolve_requested_model
from shared.queue.job import RUN_CHAT, RunChat
from shared.queue.job_queue import JobQueue
from shared.rate_limit_status import RateLimitStatus
from shared.redis.client import REDIS_UNAVAILABLE
from shared.redis.keys import MAIN_QUEUE
from shared.runs.admission import (
    SUPERSEDE_SECONDS,
    Admission,
    Admitted,
    Idempotency,
    NotNewest,
)
from shared.runs.control import RunControl
from shared.runs.run import Run, new_run_id
from shared.runs.store import RunStore
from shared.settings import LimitSettings, QueueSettings, Settings, WhenBusy
from shared.settings.live_settings import LiveSettings
from shared.telemetry.logs import pseudonym

log = structlog.stdlib.get_logger()


class AcceptedRun(NamedTuple):
    """The run that serves a request."""

    run: Run
    #: The states of the owner's limits.
    limits: tuple[RateLimitStatus | None, ...] = ()


@dataclass(frozen=True, slots=True)
class ChatService:
    """Accepts chat requests."""

    agents: AgentDirectory
    runs: RunStore
    admission: Admission
    queue: JobQueue
    continuations: ContinuationResolver
    reaper: OrphanReaper
    run_control: RunControl
    live: LiveSettings

    async def accept(
        self,
        principal: Principal,
        chat: ChatRequest,
        request_id: str,
        idempotency_key: str | None = None,
    ) -> AcceptedRun:
        """Create a run for the request, queue its job and wake a worker.

        A repeated request with the same idempotency key returns the first request's run.

        Raises:
            InvalidRequest: if the agent does not exist, or the model, a setting, or a system
                message is not allowed.
            RunInProgress: if the chat has a live run that the request neither supersedes nor
                waits for.
            TooManyRequests: if a limit is reached.
            IdempotencyMismatch: if the key was used for a different request.
            ToolCallNotPending: if a tool response belongs to a call that does not wait for one.
            ToolCallsExpired: if the calls of the tool responses are no longer stored.
            RepeatedRunExpired: if the run of a repeated request is no longer stored.
        """
        check_allowed_settings(chat.used_settings(), self.live.now.chat.request_settings)
        check_system_messages(chat, self.live.now.agents)
        _check_priority(chat, principal, self.live.now.queue)
        when_busy = chat.resolve_when_busy(self.live.now.chat.when_busy)
        idempotency = _idempotency(idempotency_key, chat)
        if idempotency and (known := await self._find_repeated(principal, chat, idempotency)):
            return AcceptedRun(known)
        continued = await self.continuations.resolve(principal.owner, chat)
        agent = await self._find_agent(chat, continued)
        run = self._new_run(principal, chat, agent, request_id, continued)
        with enqueue_span(RUN_CHAT, run.id, run.queue, after=continued and continued.run) as trace:
            run = run.model_copy(update={"traceparent": trace.get("traceparent")})
            history = chat.history_before(continued.steps) if continued else chat.history()
            messages = apply_system_messages(history, self.live.now.agents)
            job = _job(
                run,
                chat,
                messages,
                _display_tools(chat, agent),
                continued,
                trace,
                completes_history=when_busy == "queue" and continued is None,
                plan=principal.plan,
            )
            admitted = await self._admit(run, job, when_busy, idempotency)
        if admitted.run_id != run.id:
            return await self._accepted_before(admitted)
        count_accepted_run(run.agent)
        log.info(
            "run.accepted",
            message="Run accepted and queued",
            run_id=run.id,
            chat=pseudonym(run.chat_id),
            agent=run.agent,
            messages=len(chat.messages),
        )
        if admitted.superseded:
            await self._supersede(admitted.superseded, run)
        return _accepted(run, admitted)

    async def _find_agent(self, chat: ChatRequest, continued: Continuation | None) -> AgentCard:
        name = continued.run.agent if continued else chat.agent or CHAT_AGENT
        agent = await self.agents.find(name)
        _check_client_tools(chat, agent)
        return agent

    async def _find_repeated(
        self, principal: Principal, chat: ChatRequest, idempotency: Idempotency
    ) -> Run | None:
        """Return the run of an earlier identical request with tool responses.

        Its calls are no longer pending, so resolving its continuation again would fail.
        """
        if not chat.tool_responses():
            return None
        run_id = await self.admission.find_idempotent_run(principal.owner, idempotency)
        return await self.runs.get(run_id) if run_id else None

    def _new_run(
        self,
        principal: Principal,
        chat: ChatRequest,
        agent: AgentCard,
        request_id: str,
        continued: Continuation | None,
    ) -> Run:
        run_id, settings = new_run_id(), self.live.now
        if continued is not None:
            previous = continued.run
            return Run(
                id=run_id,
                chat_id=previous.chat_id,
                owner=previous.owner,
                message_id=previous.message_id,
                answers=previous.answers,
                agent=agent.name,
                queue=_queue_name(settings, agent, previous.model),
                model=previous.model,
                request_id=request_id,
                continues=(*previous.continues, previous.id),
                priority=chat.priority or previous.priority,
            )
        fixed_model = None if settings.openai.demo else agent.model
        model = fixed_model or resolve_requested_model(settings, chat.model)
        return Run(
            id=run_id,
            chat_id=chat.id or f"chat_{run_id}",
            owner=principal.owner,
            message_id=chat.continued_message_id or f"msg_{run_id}",
            answers=chat.answered_message_id,
            agent=agent.name,
            queue=_queue_name(settings, agent, model),
            model=model,
            request_id=request_id,
            priority=chat.priority or "interactive",
        )

    async def _admit(
        self,
        run: Run,
        job: RunChat,
        when_busy: WhenBusy,
        idempotency: Idempotency | None,
    ) -> Admitted:
        """Admit the run; if orphaned runs occupy the chat, end them and try again."""
        settings = self.live.now
        for _ in range(settings.chat.max_waiting + 2):
            outcome = await self.admission.admit(
                run,
                job,
                _admission_limits(settings),
                when_busy=when_busy,
                max_waiting=settings.chat.max_waiting,
                idempotency=idempotency,
                webhooks=bool(settings.webhooks),
                weight=settings.queue.weight_of(job.owner, job.plan),
                budget=settings.limits.budget_of(job.owner, job.plan),
            )
            if isinstance(outcome, Admitted):
                return outcome
            if isinstance(outcome, NotNewest):
                raise ToolCallNotPending
            occupant = await self.runs.get(outcome.run_id)
            if (
                occupant
                and not occupant.state.ended
                and not await self.reaper.reap_orphan(occupant)
            ):
                break
        raise RunInProgress

    async def _accepted_before(self, admitted: Admitted) -> AcceptedRun:
        log.info(
            "run.request_repeated",
            message="Repeated request returns the run of the first one",
            run_id=admitted.run_id,
        )
        run = await self.runs.get(admitted.run_id)
        if run is None:
            raise RepeatedRunExpired
        return _accepted(run, admitted)

    async def _supersede(self, run_ids: tuple[str, ...], successor: Run) -> None:
        """Stop runs, then make their successor's job due.

        The stop requests are already stored, so failures here are only logged.
        """
        try:
            async with self._deferring(successor):
                superseded = await self.runs.get_many(run_ids)
                await asyncio.gather(*(self.run_control.stop(r) for r in superseded.values()))
            await self.queue.make_due(successor.id, queue=successor.queue)
        except REDIS_UNAVAILABLE as error:
            log.warning(
                "run.supersede_undelivered",
                message="Redis is unreachable; the superseded runs stop later",
                run_id=successor.id,
                error=type(error).__name__,
            )

    @asynccontextmanager
    async def _deferring(self, run: Run) -> AsyncGenerator[None]:
        """Keep the run's job deferred. If this process dies meanwhile, the job becomes due."""

        async def defer() -> None:
            while True:
                await asyncio.sleep(SUPERSEDE_SECONDS / 3)
                with suppress(*REDIS_UNAVAILABLE):
                    await self.queue.defer(run.id, seconds=SUPERSEDE_SECONDS, queue=run.queue)

        deferring = asyncio.create_task(defer())
        try:
            yield
        finally:
            deferring.cancel()


def _check_priority(chat: ChatRequest, principal: Principal, settings: QueueSettings) -> None:
    is_allowed = settings.allows_background(principal.owner, principal.plan)
    if chat.priority == "background" and not is_allowed:
        raise InvalidRequest(
            "priority: Background runs are not allowed for you. Remove the field.",
            field="priority",
        )


def _accepted(run: Run, admitted: Admitted) -> AcceptedRun:
    return AcceptedRun(run, (admitted.rate_limit_status, *admitted.budgets))


def _check_client_tools(chat: ChatRequest, agent: AgentCard) -> None:
    for field, tool in chat.located_client_tools():
        if tool.name in agent.tools:
            raise InvalidRequest(
                f"{field}: The agent already has a tool with this name.", field=field
            )


def _admission_limits(settings: Settings) -> LimitSettings:
    """Return the limits of admission. The only owner of mode `none` may use all of Redis."""
    if settings.auth.mode == "none":
        return settings.limits.model_copy(update={"owner_bytes": 0})
    return settings.limits


def _queue_name(settings: Settings, agent: AgentCard, model: str) -> str:
    """Return the agent's queue if it has one, else the model's."""
    if agent.queue != MAIN_QUEUE:
        return agent.queue
    return queue_for_model(settings, parse_model_name(settings, model))


def _display_tools(chat: ChatRequest, agent: AgentCard) -> tuple[str, ...]:
    return chat.display_tools() if agent.display_tools else ()


def _job(
    run: Run,
    chat: ChatRequest,
    messages: tuple[Message, ...],
    tools: tuple[str, ...],
    continued: Continuation | None,
    trace: dict[str, str],
    *,
    completes_history: bool,
    plan: str | None,
) -> RunChat:
    return RunChat(
        run_id=run.id,
        chat_id=run.chat_id,
        message_id=run.message_id,
        request_id=run.request_id,
        owner=run.owner,
        plan=plan,
        agent=run.agent,
        model=run.model,
        background=run.priority == "background",
        tools=tools,
        messages=messages,
        client_tools=tuple(tool for _, tool in chat.located_client_tools()),
        settings=chat.call_settings(),
        approvals=chat.supports_approvals,
        continues=run.continues,
        completes_history=completes_history,
        tool_responses=continued.tool_responses if continued else {},
        trace=trace,
    )


def _idempotency(key: str | None, chat: ChatRequest) -> Idempotency | None:
    """Identify a request by its parsed content: a proxy may change the bytes of its body."""
    if key is None:
        return None
    # Unknown fields may change when a client repeats a request.
    fields = {*ChatRequest.model_fields}
    content = chat.model_dump_json(include=fields, exclude_unset=True, warnings=False)
    return Idempotency.of(key, content.encode())
