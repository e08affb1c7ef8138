"""The job `generate_title`: requests a chat title from a model while the API waits for it."""

import asyncio
from typing import Any

import structlog
from arq.worker import RetryJob
from pydantic import ValidationError
from pydantic_ai import Agent, UsageLimits
from pydantic_ai.messages import ModelRequest
from pydantic_ai.usage import RunUsage

from shared.chat.title_text import clean_title
from shared.chat.titles import GeneratedTitle, TitleStore
from shared.queue.job import GenerateTitle
from shared.settings.live_settings import LiveSettings
from shared.telemetry.logs import bind
from shared.telemetry.tracing import Span
from shared.waiting import raise_if_cancelled
from worker.agents.budget import Budgets
from worker.agents.request_estimate import RequestEstimate
from worker.jobs.running_runs import Interrupt, RunningRuns
from worker.models.profiles.token_prices import token_prices
from worker.models.registry import ModelRegistry
from worker.models.run_failures import failure_of
from worker.telemetry.tracing import trace_title

log = structlog.stdlib.get_logger()

_INSTRUCTIONS = (
    "You name conversations. Reply with a title for the conversation below, and nothing else:"
    " {words} words at most, in the language of the conversation, no quotation marks, no full stop."
    " Never answer the conversation itself."
)
_CHARS_PER_WORD = 8


class TitleRunner:
    """Generates a title. Does not retry: without it, the API uses the first message."""

    def __init__(
        self,
        store: TitleStore,
        models: ModelRegistry,
        running: RunningRuns,
        budgets: Budgets,
        live: LiveSettings,
    ) -> None:
        self._store = store
        self._models = models
        self._running = running
        self._budgets = budgets
        self._live = live
        self._agent = Agent(name="title", retries=0)

    async def __call__(self, ctx: dict[str, Any], args: object = None, *_: Any, **__: Any) -> None:
        try:
            job = GenerateTitle.model_validate(args)
        except ValidationError:
            log.warning(
                "title.unreadable_job", message="Title job cannot be read", title_id=ctx["job_id"]
            )
            return
        with (
            bind(title_id=job.title_id, request_id=job.request_id),
            self._running.enter(job.title_id) as running_run,
            trace_title(job) as span,
        ):
            running_run.prepared.set()  # the preparation of a title takes little time
            try:
                title = await self._request_title(job, span)
                await self._store.save(job.title_id, GeneratedTitle(title=title))
            except asyncio.CancelledError:
                if running_run.interrupt is None:
                    raise  # the worker stops: another one may still finish in time
                if running_run.interrupt is Interrupt.TAKEN_OVER:
                    raise RetryJob from None
                log.info("title.stopped", message="Title cancelled because the client is gone")

    async def _request_title(self, job: GenerateTitle, span: Span) -> str | None:
        if self._models.demo:
            return None
        try:
            async with asyncio.timeout(self._live.now.title.timeout_seconds):
                output = await self._run_agent(job)
        except Exception as error:  # noqa: BLE001  (a failed title is only logged)
            raise_if_cancelled()
            failure = failure_of(error)
            log.warning(
                "title.failed",
                message="Title generation failed",
                code=failure.code,
                error=type(error).__name__,
                **failure.upstream_fields,
            )
            span.fail(failure.code)
            return None
        return clean_title(output, job.max_length) or None

    async def _run_agent(self, job: GenerateTitle) -> str:
        model, used = self._models.get(job.model), RunUsage()
        prompt = f"<conversation>\n{job.excerpt}\n</conversation>"
        budget = self._budgets.of_title(job)
        counts = budget.counts
        try:
            if counts:
                request = RequestEstimate(
                    [ModelRequest.user_text_prompt(prompt)], token_prices(model)
                )
                await budget.start_request(used, request.expected, request.least)
            answer = await self._agent.run(
                prompt,
                model=model,
                instructions=_INSTRUCTIONS.format(words=max(2, job.max_length // _CHARS_PER_WORD)),
                usage_limits=UsageLimits(request_limit=1),
                usage=used,
            )
        finally:
            if counts:
                await budget.count(used)
        return answer.output
