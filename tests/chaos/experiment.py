"""One experiment: a deployment, a schedule of faults, and clients until all faults have ended."""

import asyncio
import os
import statistics
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from shared.redis import keys
from tests.chaos.checks.checker import Checker
from tests.chaos.checks.liveness import check_liveness
from tests.chaos.checks.memory import watched_memory
from tests.chaos.checks.violation import Violation
from tests.chaos.clients.chat import ChaosChat
from tests.chaos.clients.view import AnswerView
from tests.chaos.deployment import ChaosDeployment, open_deployment, supervised
from tests.chaos.faults import FaultKind, InjectedFault, plan_faults
from tests.chaos.injector import Injector
from tests.chaos.storage import StorageKind

_LOAD_SECONDS = 5.0


@dataclass(frozen=True)
class ChaosPlan:
    seed: int
    faults: int
    kinds: Sequence[FaultKind]
    #: Seconds between two faults, on average.
    every: float = 1.2
    #: Chats at the same time.
    chats: int = 8
    storage: StorageKind = "single"
    #: The setting `redis.confirm_replicas`.
    confirm_replicas: int = 0
    #: Numbers of processes.
    apis: int = 2
    workers: int = 3


@dataclass
class ChaosResult:
    plan: ChaosPlan
    faults: list[InjectedFault]
    views: list[AnswerView]
    chats: int
    violations: list[Violation]
    #: The process IDs of the workers of each run.
    workers: dict[str, frozenset[str]]
    repeated_calls: int
    #: Names and exit codes of processes that ended without a request.
    unexpected_exits: list[tuple[str, int]]
    #: Seconds from each SIGTERM to the end of its process.
    exit_seconds: list[float]
    seconds: float = 0.0
    #: The machine's load average during the run, which includes other programs.
    load: float = 0.0
    #: By how many MiB the memory of each kind of process has grown.
    growth: dict[str, float] = field(default_factory=dict[str, float])
    logs: dict[str, str] = field(default_factory=dict[str, str])


async def run_experiment(plan: ChaosPlan, folder: Path) -> ChaosResult:
    start = time.monotonic()
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    async with (
        httpx.AsyncClient(timeout=60, limits=limits, trust_env=False) as http,
        open_deployment(
            folder,
            apis=plan.apis,
            workers=plan.workers,
            storage=plan.storage,
            confirm_replicas=plan.confirm_replicas,
            fake_clocks=any(kind.needs_fake_clock for kind in plan.kinds),
        ) as deployment,
    ):
        injector = Injector(deployment, http)
        loads: list[float] = []
        async with (
            supervised(deployment),
            sampled_load(loads),
            watched_memory(deployment) as memory,
        ):
            chats = await _run_chats(plan, deployment, injector, http)
            liveness = await check_liveness(deployment, http)
        views = [view for chat in chats for view in chat.views]
        workers = await _workers_of_runs(deployment, views)
        checker = Checker(deployment, http, views, liveness.views)
        violations = liveness.violations + await checker.violations() + memory.violations()
        members = deployment.members
        return ChaosResult(
            plan,
            injector.injected,
            views,
            len(chats),
            violations,
            workers,
            checker.repeated_calls,
            [(m.name, code) for m in members for code in m.unexpected_exits],
            [seconds for m in members for seconds in m.exit_seconds],
            time.monotonic() - start,
            statistics.fmean(loads),
            dict(memory.growth()),
            deployment.logs(),
        )


@asynccontextmanager
async def sampled_load(samples: list[float]) -> AsyncGenerator[None]:
    """Append the load average of the last minute to `samples` every few seconds."""

    async def sample() -> None:
        while True:
            samples.append(os.getloadavg()[0])
            await asyncio.sleep(_LOAD_SECONDS)

    task = asyncio.create_task(sample())
    await asyncio.sleep(0)
    try:
        yield
    finally:
        task.cancel()


async def _run_chats(
    plan: ChaosPlan, deployment: ChaosDeployment, injector: Injector, http: httpx.AsyncClient
) -> list[ChaosChat]:
    """Run chats, several at a time, until the last fault has ended."""
    chats: list[ChaosChat] = []
    is_over = asyncio.Event()

    async def chat_until_over() -> None:
        while not is_over.is_set():
            chat = ChaosChat(deployment, injector, http, plan.seed, len(chats))
            chats.append(chat)
            await chat.run()

    async with asyncio.TaskGroup() as group:
        for _ in range(plan.chats):
            group.create_task(chat_until_over())
        await injector.run(plan_faults(plan.seed, plan.faults, kinds=plan.kinds, every=plan.every))
        is_over.set()
    return chats


async def _workers_of_runs(
    deployment: ChaosDeployment, views: Sequence[AnswerView]
) -> dict[str, frozenset[str]]:
    """Read the process IDs of the workers that worked on each run."""
    redis = deployment.storage.runs_client()
    found: dict[str, frozenset[str]] = {}
    try:
        for view in views:
            stored = await redis.execute_command("HGETALL", keys.run(view.run_id))
            found[view.run_id] = frozenset(
                value.decode().split()[0].split("-")[-2]
                for name, value in stored.items()
                if name.startswith(b"worker:")
            )
    finally:
        await redis.aclose()
    return found
