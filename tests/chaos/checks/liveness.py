"""Checks that each process still works after the last fault."""

import asyncio
import random
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple

import httpx

from shared.redis import keys
from shared.redis.client import REDIS_UNAVAILABLE
from tests.chaos.checks.violation import Violation
from tests.chaos.clients.client import ChaosClient
from tests.chaos.clients.question import Question
from tests.chaos.clients.view import AnswerView
from tests.chaos.deployment import ChaosDeployment, Member
from tests.support.wait import until

_READY_SECONDS = 60.0
_IDLE_SECONDS = 60.0
#: How long each worker may take for a short answer while the other workers are stopped.
_ANSWER_SECONDS = 30.0


class Liveness(NamedTuple):
    violations: list[Violation]
    #: The answers that the check requested.
    views: list[AnswerView]


async def check_liveness(deployment: ChaosDeployment, http: httpx.AsyncClient) -> Liveness:
    """Wait until all processes are up and idle, then ask a question of each worker."""
    found, views = Liveness([], [])
    try:
        await _until_ready(deployment, http)
        await _until_idle(deployment)
    except TimeoutError as error:
        found.append(Violation("zombie", f"the deployment did not recover: {error}"))
    for number, worker in enumerate(deployment.workers):
        others = [other for other in deployment.workers if other is not worker]
        async with _stopped(others):
            views.append(await _answer(deployment, http, number))
            if views[-1].text != views[-1].canonical or views[-1].defects:
                found.append(Violation("zombie", f"{worker.name} runs but answers nothing"))
    return Liveness(found, views)


async def _until_ready(deployment: ChaosDeployment, http: httpx.AsyncClient) -> None:
    async def all_are_ready() -> bool:
        if any(member.process.child.poll() is not None for member in deployment.members):
            return False
        try:
            responses = [await http.get(f"{url}/health/ready") for url in deployment.urls]
        except httpx.TransportError:
            return False
        return all(response.status_code == 200 for response in responses)

    await until(all_are_ready, seconds=_READY_SECONDS)


async def _until_idle(deployment: ChaosDeployment) -> None:
    """Wait until no lease is held and each worker is registered."""

    async def is_idle() -> bool:
        redis = deployment.storage.client()
        try:
            leases = await redis.execute_command("KEYS", keys.lease("*"))
            listed: list[bytes] = await redis.execute_command("ZRANGE", keys.WORKERS, 0, -1)
        except REDIS_UNAVAILABLE:
            return False
        finally:
            await redis.aclose()
        pids = {member.decode().split("-")[-2] for member in listed}
        return not leases and all(worker.pid in pids for worker in deployment.workers)

    await until(is_idle, seconds=_IDLE_SECONDS)


@asynccontextmanager
async def _stopped(members: list[Member]) -> AsyncGenerator[None]:
    for member in members:
        member.send(signal.SIGSTOP)
    try:
        yield
    finally:
        for member in members:
            member.send(signal.SIGCONT)


async def _answer(deployment: ChaosDeployment, http: httpx.AsyncClient, number: int) -> AnswerView:
    question = Question(f"liveness-{number}", 0, (3,), 0.0)
    await deployment.upstream.script(question.model, question.script())
    view, urls = AnswerView(question), deployment.urls
    client = ChaosClient(http, [urls[number % len(urls)]], random.Random(number))
    with suppress(TimeoutError):
        async with asyncio.timeout(_ANSWER_SECONDS):
            await client.ask(view, drops=[])
    return view
