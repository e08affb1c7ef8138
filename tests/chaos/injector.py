"""Injects the planned faults into a deployment."""

import asyncio
import signal
import time
from collections import deque
from collections.abc import Sequence
from typing import Any

import httpx

from shared.redis import keys
from shared.redis.client import REDIS_UNAVAILABLE
from tests.chaos.clients.storm import connection_storm
from tests.chaos.clients.view import AnswerView
from tests.chaos.deployment import ChaosDeployment, Member
from tests.chaos.faults import InjectedFault, PlannedFault
from tests.support.fakes.proxy import Proxy
from tests.support.processes import ServerProcess

Json = dict[str, Any]

#: The failure of the next model request, by the action of a fault of the model.
_MODEL_FAILURES: dict[str, Json] = {
    "broken_stream": {"cut_after": 5},
    "silent_stream": {"silence_after": 5},
    "busy": {"status": 429, "headers": {"retry-after": "0"}},
    "error": {"status": 500},
}
_LATENCY_SECONDS = 0.1
#: The shortest time between two jumps of Valkey's clock.
_CLOCK_SECONDS = 4.0
#: How long the choice of a victim may take.
_LOOKUP_SECONDS = 0.3


class Injector:
    def __init__(self, deployment: ChaosDeployment, http: httpx.AsyncClient) -> None:
        self._deployment = deployment
        self._http = http
        #: The answers of all clients, for those of a storm.
        self.views: list[AnswerView] = []
        #: Held while a fault of Redis is in progress.
        self._redis = asyncio.Lock()
        self.injected: list[InjectedFault] = []
        #: Failures of model requests that the next questions use.
        self.model_failures: deque[tuple[InjectedFault, Json]] = deque()

    async def run(self, planned: Sequence[PlannedFault]) -> None:
        """Inject all faults at their times, and return when the last one has ended."""
        start = time.monotonic()

        async def inject_later(fault: PlannedFault) -> None:
            await asyncio.sleep(max(0.0, start + fault.at - time.monotonic()))
            await self.inject(fault)

        async with asyncio.TaskGroup() as group:
            for fault in planned:
                group.create_task(inject_later(fault))

    async def inject(self, fault: PlannedFault) -> None:
        system, kind = self._deployment, fault.kind
        injected = InjectedFault(kind, time.monotonic(), time.monotonic())
        match kind.target:
            case "worker" | "worker link":
                await self._break_member(await self._busy_workers(), fault, injected)
            case "api" | "api link":
                await self._break_member(system.apis, fault, injected)
            case "model link":
                self.injected.append(injected)
                await _break_link(system.model_link, fault, injected)
            case "redis":
                self.injected.append(injected)
                await self._break_redis(fault, injected)
            case "client":
                self.injected.append(injected)
                await connection_storm(self._http, system.urls, self.views, fault.number)
                injected.ended = time.monotonic()
            case "model":
                self.injected.append(injected)
                self.model_failures.append((injected, _MODEL_FAILURES[kind.action]))

    async def _busy_workers(self) -> list[Member]:
        """The workers that hold leases; all workers if none does, or while Valkey is away."""
        workers = self._deployment.workers
        redis = self._deployment.storage.client()
        try:
            async with asyncio.timeout(_LOOKUP_SECONDS):
                leases = await redis.execute_command("KEYS", keys.lease("*"))
                holders: list[bytes | None] = (
                    await redis.execute_command("MGET", *leases) if leases else []
                )
        except (*REDIS_UNAVAILABLE, TimeoutError):
            return workers
        finally:
            await redis.aclose()
        pids = {holder.decode().split("-")[-2] for holder in holders if holder}
        return [worker for worker in workers if worker.pid in pids] or workers

    async def _break_member(
        self, members: Sequence[Member], fault: PlannedFault, injected: InjectedFault
    ) -> None:
        up = [member for member in members if member.process.child.poll() is None] or members
        member = up[fault.number % len(up)]
        injected.victims = frozenset([_victim(member)])
        injected.started = injected.ended = time.monotonic()
        self.injected.append(injected)
        if fault.kind.target.endswith("link"):
            await _break_link(member.link, fault, injected)
        else:
            await _break_process(member, fault, injected)

    async def _break_redis(self, fault: PlannedFault, injected: InjectedFault) -> None:
        async with self._redis:
            injected.started = time.monotonic()
            await self._deployment.storage.break_server(fault)
            injected.ended = time.monotonic()
            if fault.kind.needs_fake_clock:  # a heartbeat must see each time before the next jump
                await asyncio.sleep(_CLOCK_SECONDS)


async def _break_process(member: Member, fault: PlannedFault, injected: InjectedFault) -> None:
    match fault.kind.action:
        case "kill":
            await member.kill()
        case "term":
            await member.terminate()
            injected.ended = time.monotonic()
        case "clock":
            assert member.clock is not None, "the deployment has no fake clocks"
            member.clock.set(fault.clock_offset)
        case _:
            await _pause(member.process, fault.seconds)
            injected.ended = time.monotonic()


async def _pause(process: ServerProcess, seconds: float) -> None:
    child = process.child
    child.send_signal(signal.SIGSTOP)
    await asyncio.sleep(seconds)
    child.send_signal(signal.SIGCONT)


async def _break_link(link: Proxy, fault: PlannedFault, injected: InjectedFault) -> None:
    match fault.kind.action:
        case "reset":
            link.reset_connections()
        case "half_open":
            link.freeze_connections()
        case "one_way":
            link.freeze_replies()
        case "silence":
            link.pause()
            await asyncio.sleep(fault.seconds)
            link.resume()
        case _:
            link.delay = _LATENCY_SECONDS
            await asyncio.sleep(fault.seconds)
            link.delay = 0.0
    injected.ended = time.monotonic()


def _victim(member: Member) -> str:
    """The process ID of a worker, or the URL of an API process."""
    url = getattr(member.process, "url", None)
    return str(url or member.pid)
