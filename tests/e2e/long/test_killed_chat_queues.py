"""Messages that wait in their chats are answered once and in order while processes are killed.

`make queues CHATS=1000 SEED=2` runs it with more chats, and another order of the kills.
"""

import asyncio
import os
import random
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field

import httpx
import pytest

from shared.runs.run import Run
from shared.runs.store import RunStore
from tests.support.processes import Api, Valkey, Worker, start_all, stop_all
from tests.support.sse_client import Json, SseClient, SseEvent, check_whole, text
from tests.support.system.running_system import kill_process
from tests.support.upstream.client import Upstream
from tests.support.wait import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

CHATS = int(os.environ.get("CHATS", "40"))
SEED = int(os.environ.get("SEED", "1"))
MESSAGES = 5
MODEL = "killed chat queues"
WORDS = [f"w{n} " for n in range(20)]
ANSWER = "Hello " + "".join(WORDS)
#: The first answers wait until all messages have been sent.
SCRIPT: list[list[Json]] = [
    [{"text": ["Hello "]}, {"wait": True}, {"text": WORDS, "delay": 0.03}],
]
#: Concurrent requests of the test.
_CLIENTS = 50
_SECONDS = 120 + 2 * CHATS
#: More chats need more time between two kills to make progress.
_PAUSE = max(1.0, CHATS / 250)
#: Each kill ends the attempts of many runs.
_ENV = {"MAMBA_RUN__MAX_CRASHES": "100", "MAMBA_LIMITS__STREAMS": "0"}


@dataclass
class KilledDeployment:
    """A deployment whose processes are killed and restarted."""

    valkey: Valkey
    apis: list[Api]
    workers: list[Worker]
    kills: Counter[str] = field(default_factory=Counter[str])

    async def runs(self, run_ids: Sequence[str]) -> dict[str, Run]:
        redis = self.valkey.client()
        try:
            return await RunStore(redis, live_ttl=600).get_many(run_ids)
        finally:
            await redis.aclose()

    async def kill_and_restart(self, chance: random.Random) -> None:
        """Kill one process after another, each when the one before has restarted."""
        while True:
            await asyncio.sleep(chance.uniform(0.2, 1.0) * _PAUSE)
            victim = chance.choice([*self.apis, *self.workers])
            await victim.kill()
            self.kills[type(victim).__name__] += 1
            await victim.start().ready()


@pytest.fixture
def chance() -> random.Random:
    return random.Random(SEED)


@pytest.mark.timeout(_SECONDS + 120)
async def test_killed_processes_neither_lose_nor_reorder_messages(
    upstream: Upstream, sse: SseClient, chance: random.Random
) -> None:
    await upstream.script(MODEL, SCRIPT)
    async with _deployed(upstream) as deployment, asyncio.timeout(_SECONDS):
        killing = asyncio.create_task(deployment.kill_and_restart(chance))
        try:
            chats = await _send_all(deployment)
            run_ids = [run_id for runs in chats for run_id in runs]
            await until(lambda: _are_crashed(deployment, run_ids), seconds=_SECONDS)
            await upstream.release(MODEL)
            await until(lambda: _have_ended(deployment, run_ids), seconds=_SECONDS)
        finally:
            killing.cancel()
            with suppress(asyncio.CancelledError):
                await killing
        [api, *_] = deployment.apis
        # The task may have been cancelled while it restarted this process.
        await _kill_and_start(api)
        answers = await _read_all(sse, api, chats)

    assert deployment.kills.keys() == {"Api", "Worker"}
    assert len(set(run_ids)) == CHATS * MESSAGES
    for answer in answers:
        _check_answer(answer)
    _check_requests([request["body"] for request in await upstream.requests(MODEL)])


async def _kill_and_start(api: Api) -> None:
    await api.kill()
    await api.start().ready()


@asynccontextmanager
async def _deployed(upstream: Upstream) -> AsyncGenerator[KilledDeployment]:
    """Two API processes and three workers."""
    valkey = await Valkey().start().ready()
    apis = [Api(valkey.url, _ENV) for _ in range(2)]
    workers = [Worker(valkey.url, upstream.base_url, _ENV) for _ in range(3)]
    async with AsyncExitStack() as stack:
        stack.push_async_callback(stop_all, valkey)
        await start_all(*apis, *workers)
        for process in (*apis, *workers):
            stack.push_async_callback(kill_process, process)
        yield KilledDeployment(valkey, apis, workers)


async def _send_all(deployment: KilledDeployment) -> list[list[str]]:
    """Send the messages of each chat in order, and return the ids of their runs."""
    slots = asyncio.Semaphore(_CLIENTS)
    limits = httpx.Limits(max_keepalive_connections=0)
    async with httpx.AsyncClient(timeout=10, limits=limits, trust_env=False) as http:

        async def send_chat(chat: int) -> list[str]:
            async with slots:
                return [await _send(http, deployment, chat, n) for n in range(1, MESSAGES + 1)]

        return await asyncio.gather(*map(send_chat, range(CHATS)))


async def _send(http: httpx.AsyncClient, deployment: KilledDeployment, chat: int, last: int) -> str:
    """Send a message, again and again until an API process has accepted it."""
    messages = [
        {"id": f"u{n}", "role": "user", "parts": [{"type": "text", "text": _question(chat, n)}]}
        for n in range(1, last + 1)
    ]
    body = {"id": f"c{chat}", "model": MODEL, "whenBusy": "queue", "messages": messages}
    headers = {"idempotency-key": f"{chat}-{last}"}

    async def try_each_process() -> str | None:
        for api in deployment.apis:
            with suppress(httpx.TransportError):
                url = f"{api.url}/chat"
                async with http.stream("POST", url, json=body, headers=headers) as response:
                    if response.status_code == 200:
                        return response.headers["x-run-id"]
                    await response.aread()
                    assert response.status_code == 503, response.text
        return None

    run_id = await until(try_each_process, seconds=60)
    assert run_id
    return run_id


async def _read_all(
    sse: SseClient, api: Api, chats: Sequence[Sequence[str]]
) -> list[list[SseEvent]]:
    slots = asyncio.Semaphore(_CLIENTS)

    async def read(chat: int, run_id: str) -> list[SseEvent]:
        async with slots:
            return await sse.replay(f"{api.url}/chat", f"c{chat}", after=f"0-0@{run_id}")

    ids = [(chat, run_id) for chat, runs in enumerate(chats) for run_id in runs]
    return await asyncio.gather(*(read(*run) for run in ids))


def _question(chat: int, number: int) -> str:
    return f"Question {number} of chat {chat}"


async def _are_crashed(deployment: KilledDeployment, run_ids: Sequence[str]) -> bool:
    """Whether a run has lost its worker, and both kinds of processes have been killed."""
    runs = await deployment.runs(run_ids)
    return len(deployment.kills) == 2 and any(run.attempts > 1 for run in runs.values())


async def _have_ended(deployment: KilledDeployment, run_ids: Sequence[str]) -> bool:
    runs = await deployment.runs(run_ids)
    assert len(runs) == len(run_ids)
    return all(run.state.ended for run in runs.values())


def _check_answer(answer: list[SseEvent]) -> None:
    check_whole(answer)
    assert text(answer) == ANSWER


def _check_requests(bodies: Sequence[Json]) -> None:
    """Each message was sent to the model after the whole answers to the messages before it."""
    expected: dict[str, list[str]] = {}
    for chat in range(CHATS):
        history: list[str] = []
        for number in range(1, MESSAGES + 1):
            question = _question(chat, number)
            history = [*history, question]
            expected[question] = history
            history = [*history, ANSWER]
    asked: set[str] = set()
    for body in bodies:
        texts = [m["content"] for m in body["messages"] if m["role"] != "system"]
        newest = [content for content in texts if content in expected][-1]
        asked.add(newest)
        assert texts[: len(expected[newest])] == expected[newest]
    assert asked == expected.keys()
