"""Chats of several questions. Clients drop, resume, stop, supersede, queue, and call tools."""

import asyncio
import random
import time
from functools import partial
from typing import Any

import httpx

from tests.chaos.clients.client import PATIENCE_SECONDS, ChaosClient
from tests.chaos.clients.question import Question, ResponseKind, WhenBusy
from tests.chaos.clients.view import AnswerView
from tests.chaos.deployment import ChaosDeployment
from tests.chaos.injector import Injector
from tests.support.wait import until

Json = dict[str, Any]

_MAX_QUESTIONS = 3
#: The most questions during one answer.
_MAX_QUEUED = 3
_RESPONSES: tuple[ResponseKind, ...] = ("none", "approve", "approve", "deny", "result")


class ChaosChat:
    """One chat. The seed and the number determine what its client does."""

    def __init__(
        self,
        deployment: ChaosDeployment,
        injector: Injector,
        http: httpx.AsyncClient,
        seed: int,
        number: int,
    ) -> None:
        self._deployment = deployment
        self._injector = injector
        self._rng = random.Random(f"{seed} {number}")
        self._name = f"chat-{number}"
        self._http = http
        self.views: list[AnswerView] = []

    async def run(self) -> None:
        history: list[Json] = []
        for _ in range(self._rng.randint(1, _MAX_QUESTIONS)):
            view = await self._answer(await self._new_view(history))
            parts: list[Json] = []
            if view.awaits_response and not view.defects:
                if self._rng.random() < 0.9:
                    view = await self._answer(self._continuing_view(view))
                else:  # the user asks something else instead
                    parts.append(view.question.pending_part())
            if view.defects:
                return
            history = view.messages()
            history[-1]["parts"] += parts

    async def _answer(self, view: AnswerView) -> AnswerView:
        """Start a run, possibly cancel it or ask more, and return the view of the last answer."""
        asking = asyncio.create_task(self._ask(view))
        try:
            action = self._rng.random()
            if action < 0.4:
                await self._progress(view, asking)
                if action < 0.12:
                    await self._client().stop(view)
                elif view.continues is None:
                    ask_more = self._supersede if action < 0.25 else self._queue
                    view = await ask_more(view)
        finally:
            await asking
        return view

    async def _supersede(self, old: AnswerView) -> AnswerView:
        """Replace the live run of the chat by another question."""
        view = await self._new_view(old.history, when_busy="supersede")
        await self._ask(view)
        old.is_superseded = bool(view.run_id)
        return view

    async def _queue(self, view: AnswerView) -> AnswerView:
        """Ask more questions during an answer, one after the other."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._rng.randint(1, _MAX_QUEUED)):
                earlier = view
                view = await self._new_view(earlier.messages_so_far(), when_busy="queue")
                view.waits_for = earlier
                asking = group.create_task(self._ask(view))
                await until(partial(_is_accepted, view, asking), seconds=2 * PATIENCE_SECONDS)
        return view

    async def _ask(self, view: AnswerView) -> None:
        rng, words = self._rng, view.canonical.count(" ")
        reloads = view.continues is not None and rng.random() < 0.7
        count = rng.choice([2] if reloads else [0, 0, 1, 2, 3])
        drops = sorted(rng.randrange(words) for _ in range(count))
        loses_response = rng.random() < 0.3
        await self._client().ask(view, drops=drops, loses_response=loses_response, reloads=reloads)

    async def _progress(self, view: AnswerView, asking: asyncio.Task[None]) -> None:
        """Wait until the question is accepted and a part of the answer, or all, has arrived."""
        count = self._rng.randrange(view.canonical.count(" "))

        async def has_progressed() -> bool:
            return bool(view.run_id and len(view.events) >= count) or asking.done()

        await until(has_progressed, seconds=2 * PATIENCE_SECONDS)

    async def _new_view(self, history: list[Json], *, when_busy: WhenBusy = "reject") -> AnswerView:
        rng = self._rng
        words, response = (rng.randint(20, 120),), _RESPONSES[0]
        if rng.random() < 0.6:
            words = (rng.randint(1, 20), *words)
            response = rng.choice(_RESPONSES)
        fault, failures = None, ()
        if self._injector.model_failures:
            fault, failure = self._injector.model_failures.popleft()
            failures = (failure,)
            fault.started = fault.ended = time.monotonic()
        delay = rng.uniform(0.01, 0.04)
        question = Question(self._name, len(self.views), words, delay, failures, response)
        view = AnswerView(question, when_busy, history=history, model_fault=fault)
        self._add(view)
        await self._deployment.upstream.script(question.model, question.script(), failures)
        return view

    def _continuing_view(self, view: AnswerView) -> AnswerView:
        """Return the view of the run that the client's response to the tool call starts."""
        earlier = view.waits_for
        history = earlier.messages() if earlier else view.history
        new = AnswerView(view.question, continues=view, history=history)
        self._add(new)
        return new

    def _add(self, view: AnswerView) -> None:
        self.views.append(view)
        self._injector.views.append(view)

    def _client(self) -> ChaosClient:
        return ChaosClient(self._http, self._deployment.urls, self._rng)


async def _is_accepted(view: AnswerView, asking: asyncio.Task[None]) -> bool:
    return bool(view.run_id) or asking.done()
