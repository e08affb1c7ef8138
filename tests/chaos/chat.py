"""Chats of several questions, in which clients drop, resume, stop, supersede and repeat."""

import asyncio
import random
import time
from typing import Any

import httpx

from tests.chaos.client import PATIENCE_SECONDS, AnswerView, ChaosClient
from tests.chaos.deployment import ChaosDeployment
from tests.chaos.injector import Injector
from tests.chaos.question import Question
from tests.support.wait import until

Json = dict[str, Any]

_MAX_QUESTIONS = 3


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
            view = await self._answer(history)
            if view.defects:
                return
            history = [*history, *view.question.messages(), view.message()]

    async def _answer(self, history: list[Json]) -> AnswerView:
        """Ask a question, possibly cancel it, and return the view of the last answer."""
        view = await self._new_view(supersedes=False)
        asking = asyncio.create_task(self._ask(view, history))
        try:
            cancel = self._rng.random()
            if cancel < 0.25:
                await self._progress(view, asking)
                if cancel < 0.12:
                    await self._client().stop(view)
                else:
                    view = await self._supersede(view, history)
        finally:
            await asking
        return view

    async def _supersede(self, old: AnswerView, history: list[Json]) -> AnswerView:
        """Replace the live run of the chat by another question."""
        view = await self._new_view(supersedes=True)
        await self._ask(view, history)
        old.is_superseded = bool(view.run_id)
        return view

    async def _ask(self, view: AnswerView, history: list[Json]) -> None:
        words = sum(view.question.words)
        count = self._rng.choice([0, 0, 1, 2, 3])
        drops = sorted(self._rng.randrange(words) for _ in range(count))
        loses_response = self._rng.random() < 0.2
        await self._client().ask(view, history, drops=drops, loses_response=loses_response)

    async def _progress(self, view: AnswerView, asking: asyncio.Task[None]) -> None:
        """Wait until the question is accepted and a part of the answer, or all, has arrived."""
        count = self._rng.randrange(sum(view.question.words))

        async def has_progressed() -> bool:
            return bool(view.run_id and len(view.events) >= count) or asking.done()

        await until(has_progressed, seconds=2 * PATIENCE_SECONDS)

    async def _new_view(self, *, supersedes: bool) -> AnswerView:
        rng = self._rng
        words = (rng.randint(20, 120),)
        if rng.random() < 0.3:
            words = (rng.randint(1, 20), *words)
        fault, failures = None, ()
        if self._injector.model_failures:
            fault, failure = self._injector.model_failures.popleft()
            failures = (failure,)
            fault.started = fault.ended = time.monotonic()
        delay = rng.uniform(0.01, 0.04)
        question = Question(self._name, len(self.views), words, delay, failures)
        view = AnswerView(question, supersedes, model_fault=fault)
        self.views.append(view)
        await self._deployment.upstream.script(question.model, question.script(), failures)
        return view

    def _client(self) -> ChaosClient:
        return ChaosClient(self._http, self._deployment.urls, self._rng)
