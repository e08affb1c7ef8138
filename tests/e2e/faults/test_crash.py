"""Workers are killed during runs, and clients do not notice."""

import asyncio
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pytest
import pytest_asyncio

from shared.redis import keys
from shared.settings import WorkerSettings
from tests.support.ai_client.driver import VERSIONS, AiClient, Result, Version
from tests.support.processes import Worker
from tests.support.sse_client import Json, SseClient, SseEvent, check_whole, error_code, text, types
from tests.support.system.running_system import System, empty_redis
from tests.support.upstream.client import ReceivedRequest
from tests.support.wait import until

pytestmark = pytest.mark.asyncio(loop_scope="session")


WAIT: Json = {"wait": True}
CARD: Json = {
    "tool": {
        "id": "call-1",
        "name": "generateCard",
        "arguments": '{"title": "A card", "body": "of some length"}',
        "pieces": 5,
    }
}


@dataclass(frozen=True)
class CrashMoment:
    """When the worker is killed: after the chunk types in `seen` have arrived, in this order."""

    responses: Sequence[Sequence[Json]]
    seen: Sequence[str]
    text: str = "Hello world"
    calls: int = 0
    #: Model requests until the kill, and in total.
    requests: int = 1
    total_requests: int = 2


MOMENTS: Mapping[str, CrashMoment] = {
    "before the first token": CrashMoment(
        [[WAIT, {"text": ["Hello", " world"]}]],
        ["start"],
    ),
    "in the text": CrashMoment(
        [[{"text": ["Hel"]}, WAIT, {"text": ["lo", " world"]}]],
        ["text-delta"],
    ),
    "after the last word": CrashMoment(
        [[{"text": ["Hello world"]}, WAIT]],
        ["text-delta"],
    ),
    "in the reasoning": CrashMoment(
        [[{"reasoning": ["Let"]}, WAIT, {"reasoning": [" me see"]}, {"text": ["Hello world"]}]],
        ["reasoning-delta"],
    ),
    "after the reasoning": CrashMoment(
        [[{"reasoning": ["Let me see"]}, {"text": ["Hello"]}, WAIT, {"text": [" world"]}]],
        ["reasoning-end", "text-delta"],
    ),
    "in a tool's input": CrashMoment(
        [[CARD, WAIT], [{"text": ["Hello world"]}]],
        ["tool-input-delta"],
        calls=1,
        total_requests=3,
    ),
    "in a tool's input after a text": CrashMoment(
        [[{"text": ["Hello"]}, CARD, WAIT], [{"text": [" world"]}]],
        ["text-end", "tool-input-delta"],
        calls=1,
        total_requests=3,
    ),
    "between two steps": CrashMoment(
        [[CARD], [WAIT, {"text": ["Hello world"]}]],
        ["tool-output-available", "finish-step"],
        calls=1,
        requests=2,
        total_requests=3,
    ),
    "in the second step's text": CrashMoment(
        [[{"text": ["Hello"]}, CARD], [{"text": [" wo"]}, WAIT, {"text": ["rld"]}]],
        ["tool-output-available", "text-delta"],
        calls=1,
        requests=2,
        total_requests=3,
    ),
}


@dataclass(frozen=True)
class Outcome:
    """The answer after its worker was killed, over SSE and in a real client."""

    events: list[SseEvent]
    result: Result
    requests: list[ReceivedRequest]
    run: dict[str, str]


@dataclass(frozen=True)
class Crash:
    outcomes: Mapping[str, Outcome]
    #: How long the leases of the killed worker are valid after its end.
    lease_ms: int


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def crash(workerless_system: System, ai: AiClient, sse: SseClient) -> Crash:
    """Kill a worker with a run at each moment while another worker is ready."""
    system, names = workerless_system, list(MOMENTS)
    async with empty_redis(system), system.start_workers() as [victim], asyncio.timeout(200):
        runs = [CrashedRun(system, ai, sse, name, n) for n, name in enumerate(names)]
        await asyncio.gather(*(run.begin() for run in runs))
        async with system.start_workers():
            await victim.kill()
            lease_ms = await longest_lease_ms(system)
            await runs[names.index("in the text")].is_taken_over()
            outcomes = await asyncio.gather(*(run.outcome() for run in runs))
    return Crash(dict(zip(names, outcomes, strict=True)), lease_ms)


async def longest_lease_ms(system: System) -> int:
    async with system.redis() as redis:
        leases = await redis.execute_command("KEYS", keys.lease("*"))
        return max([await redis.execute_command("PTTL", lease) for lease in leases])


class CrashedRun:
    """The run of one moment, requested twice: over raw SSE and by a real client."""

    def __init__(
        self, system: System, ai: AiClient, sse: SseClient, moment: str, number: int
    ) -> None:
        self._system, self._ai, self._sse = system, ai, sse
        self._moment = MOMENTS[moment]
        self._model = f"crash {moment}"
        self._version: Version = VERSIONS[number % len(VERSIONS)]
        self._body: Json = {"model": self._model, "tools": ["generateCard"]}
        self._begun = asyncio.Event()

    async def begin(self) -> None:
        """Run until the moment."""
        await self._system.upstream.script(self._model, self._moment.responses)
        self._reading = asyncio.create_task(self._read())
        self._client = asyncio.create_task(self._send())
        await self._begun.wait()
        await self._has_requests(self._moment.requests)

    async def is_taken_over(self) -> None:
        await self._has_requests(self._moment.requests + 1)

    async def outcome(self) -> Outcome:
        await self._system.upstream.release(self._model)
        run_id, events = await self._reading
        result = await self._client
        requests = await self._system.upstream.requests(self._model)
        return Outcome(events, result, requests, await self._system.run(run_id))

    async def _has_requests(self, count: int) -> None:
        await self._system.upstream.until(self._model, lambda got: len(got) == 2 * count)

    async def _read(self) -> tuple[str, list[SseEvent]]:
        events: list[SseEvent] = []
        async with self._sse.ask(self._system.chat, self._model, **self._body) as stream:
            for kind in self._moment.seen:
                events += await stream.until(kind)
            self._begun.set()
            return stream.run_id, events + await stream.rest()

    async def _send(self) -> Result:
        return await self._ai.send(
            ai=self._version,
            api=self._system.other_chat,
            chat=f"{self._model} {self._version}",
            text="Hi",
            body=self._body,
        )


@pytest.mark.parametrize("moment", MOMENTS)
async def test_another_worker_finishes_after_a_kill(crash: Crash, moment: str) -> None:
    outcome, expected = crash.outcomes[moment], MOMENTS[moment]

    check_whole(outcome.events)
    assert text(outcome.events) == expected.text
    assert {event.attempt for event in outcome.events} == {1, 2}
    assert types(outcome.events).count("tool-output-available") == expected.calls
    assert types(outcome.events).count("start-step") == 1 + expected.calls
    assert outcome.run["state"] == "succeeded"
    assert outcome.run["attempts"] == "2"


@pytest.mark.parametrize("moment", MOMENTS)
async def test_sdk_client_does_not_notice_a_killed_worker(crash: Crash, moment: str) -> None:
    result, expected = crash.outcomes[moment].result, MOMENTS[moment]

    assert (result.error, result.status) == (None, "ready")
    assert result.text == expected.text
    assert [request.method for request in result.requests] == ["POST"]
    assert [chunk["type"] for chunk in result.chunks[0]].count("finish") == 1
    assert result.message is not None
    tools = [part for part in result.message["parts"] if part["type"] == "tool-generateCard"]
    assert [tool["state"] for tool in tools] == ["output-available"] * expected.calls
    assert all(tool["input"]["title"] == "A card" for tool in tools)


@pytest.mark.parametrize("moment", MOMENTS)
async def test_completed_steps_are_not_requested_again(crash: Crash, moment: str) -> None:
    assert len(crash.outcomes[moment].requests) == 2 * MOMENTS[moment].total_requests


async def test_leases_of_a_killed_worker_expire_within_five_seconds(crash: Crash) -> None:
    """Then, the other worker takes over the runs when it polls."""
    worker = WorkerSettings()
    assert 0 < crash.lease_ms <= worker.lease_seconds * 1000
    assert worker.lease_seconds + worker.poll_seconds < 5


async def test_answer_survives_two_killed_workers(
    workerless: System, sse: SseClient, name: str
) -> None:
    script = [[{"text": ["a"]}, WAIT, {"text": ["b"]}, WAIT, {"text": ["c"]}]]
    await workerless.upstream.script(name, script)

    async with (
        workerless.start_workers(3) as workers,
        sse.ask(workerless.chat, name, model=name) as stream,
    ):
        events: list[SseEvent] = []
        for _ in range(2):
            events += await stream.until("text-delta")
            await (await workerless.holder(stream.run_id, workers)).kill()
            await workerless.upstream.release(name)
        events += await stream.rest()

    check_whole(events)
    assert text(events) == "abc"
    assert [event.attempt for event in events if "text-delta" in event.data] == [1, 2, 3]


async def test_run_fails_when_the_crash_budget_is_spent(
    workerless: System, sse: SseClient, name: str
) -> None:
    await workerless.upstream.script(name, [[{"text": ["Hel"]}, WAIT]])

    async with (
        workerless.start_workers(3, RUN__MAX_CRASHES=1) as workers,
        sse.ask(workerless.chat, name, model=name) as stream,
    ):
        events = await stream.until("text-delta")
        for crashes in (1, 2):
            await workerless.upstream.until(name, lambda got, n=crashes: len(got) == n)
            await (await workerless.holder(stream.run_id, workers)).kill()
        events += await stream.rest()

    check_whole(events, ending="error")
    assert error_code(events) == "crash_budget"
    assert (await workerless.run(stream.run_id))["error"] == "crash_budget"


async def test_worker_resumed_after_its_lease_cannot_write(
    workerless: System, sse: SseClient, name: str
) -> None:
    script = [[{"text": ["Hel"]}, WAIT, {"text": ["lo"]}, WAIT, {"text": [" world"]}]]
    await workerless.upstream.script(name, script)

    async with (
        workerless.start_workers() as [sleeper],
        sse.ask(workerless.chat, name, model=name) as stream,
    ):
        events = await stream.until("text-delta")
        async with workerless.start_workers():
            sleeper.send(signal.SIGSTOP)
            await workerless.upstream.until(name, lambda got: len(got) == 2)
            await workerless.upstream.release(name)
            events += await stream.until("text-delta")
            sleeper.send(signal.SIGCONT)
            await workerless.upstream.until(name, lambda got: got[0]["outcome"] == "client-closed")
            await workerless.upstream.release(name)
            events += await stream.rest()
        await _check_fenced(workerless, sse, name, events)
        await _check_serves(workerless, sse, f"{name}-later")


async def test_worker_resumed_after_the_end_cannot_write(
    workerless: System, sse: SseClient, name: str
) -> None:
    await workerless.upstream.script(name, [[{"text": ["Hel"]}, WAIT, {"text": ["lo", " world"]}]])

    async with (
        workerless.start_workers() as [sleeper],
        sse.ask(workerless.chat, name, model=name) as stream,
    ):
        events = await stream.until("text-delta")
        async with workerless.start_workers():
            sleeper.send(signal.SIGSTOP)
            await workerless.upstream.release(name)
            events += await stream.rest()
        sleeper.send(signal.SIGCONT)
        await _check_serves(workerless, sse, f"{name}-later")
        await until(lambda: _logged(sleeper, "run.taken_over"))
        await _check_fenced(workerless, sse, name, events)


async def _check_fenced(system: System, sse: SseClient, chat: str, events: list[SseEvent]) -> None:
    check_whole(events)
    assert text(events) == "Hello world"
    attempts = [event.attempt for event in events]
    assert attempts == sorted(attempts)
    assert set(attempts) == {1, 2}
    assert await sse.replay(system.other_chat, chat) == events


async def _check_serves(system: System, sse: SseClient, name: str) -> None:
    await system.upstream.script(name, [[{"text": ["Well"]}]])
    answer = await sse.answer(system.chat, name, model=name)
    check_whole(answer)
    assert text(answer) == "Well"


async def _logged(worker: Worker, event: str) -> bool:
    return event in worker.output
