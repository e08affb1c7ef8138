"""The deployment under test: API processes, workers and a durable Valkey, behind proxies."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos import counting_agent
from tests.chaos.clock import FakeClock
from tests.chaos.faults import SILENCE_SECONDS
from tests.chaos.storage import Storage, StorageKind, open_storage
from tests.support.fakes.packages import install
from tests.support.fakes.proxy import Proxy
from tests.support.processes import Api, ServerProcess, Worker
from tests.support.upstream.client import Upstream
from tests.support.wait import until

DRAIN_SECONDS = 2.0
#: How long a process may take to end after SIGTERM.
EXIT_SECONDS = 30.0
_RESTART_SECONDS = 0.5
_SETTINGS = {
    "MAMBA_WORKER__DRAIN_SECONDS": str(DRAIN_SECONDS),
    # Faults are far more frequent than these budgets assume.
    "MAMBA_RUN__MAX_CRASHES": "1000",
    "MAMBA_RUN__MAX_RETRIES": "1000",
    # A jump of Valkey's clock counts as a part of the run if a worker crashes later.
    "MAMBA_RUN__TIMEOUT_SECONDS": "3600",
    # The checks follow the last fault, and jumps of Valkey's clock shorten the retention.
    "MAMBA_RUN__RETENTION_SECONDS": "86400",
    "MAMBA_OPENAI__TIMEOUT_SECONDS": f"{SILENCE_SECONDS:g}",
    "MAMBA_OPENAI__FIRST_TOKEN_TIMEOUT_SECONDS": "3",
}


@dataclass
class Member:
    """A supervised process, and its link to Valkey."""

    name: str
    process: Api | Worker
    link: Proxy
    clock: FakeClock | None = None
    #: Set while the supervisor must not restart the process.
    is_stopping: bool = False
    #: Whether a fault has ended the process since its last start.
    is_ended_by_fault: bool = False
    #: Exit codes of processes that ended without a request.
    unexpected_exits: list[int] = field(default_factory=list[int])
    #: Seconds from each SIGTERM to the end of the process.
    exit_seconds: list[float] = field(default_factory=list[float])
    killed_after_term: int = 0

    @property
    def pid(self) -> str:
        return str(self.process.child.pid)

    def send(self, number: signal.Signals) -> None:
        self.process.send(number)

    async def kill(self) -> None:
        self.is_ended_by_fault = True
        self.process.send(signal.SIGKILL)

    async def terminate(self) -> None:
        """Send SIGTERM, and SIGKILL if the process does not end."""
        self.is_ended_by_fault = True
        child, sent = self.process.child, time.monotonic()
        child.send_signal(signal.SIGTERM)

        async def has_ended() -> bool:
            return child.poll() is not None

        try:
            await until(has_ended, seconds=EXIT_SECONDS)
        except TimeoutError:
            self.killed_after_term += 1
            child.send_signal(signal.SIGKILL)
        self.exit_seconds.append(time.monotonic() - sent)

    async def supervise(self) -> None:
        """Start the process again whenever it has ended."""
        while True:
            await asyncio.sleep(0.1)
            code = self.process.child.poll()
            if code is None or self.is_stopping:
                continue
            if not self.is_ended_by_fault:
                self.unexpected_exits.append(code)
            self.is_ended_by_fault = False
            await asyncio.sleep(_RESTART_SECONDS)
            self.process.start()


@dataclass
class ChaosDeployment:
    storage: Storage
    upstream: Upstream
    model_link: Proxy
    apis: list[Member]
    workers: list[Member]
    #: A line for each effect of a tool.
    effects: Path

    @property
    def members(self) -> list[Member]:
        return [*self.apis, *self.workers]

    @property
    def urls(self) -> list[str]:
        return [member.process.url for member in self.apis if isinstance(member.process, Api)]

    def logs(self) -> dict[str, str]:
        """The output of each process."""
        outputs = {member.name: member.process.output for member in self.members}
        return {**outputs, "valkey": self.storage.output}


@asynccontextmanager
async def open_deployment(
    folder: Path,
    *,
    apis: int = 2,
    workers: int = 3,
    storage: StorageKind = "single",
    confirm_replicas: int = 0,
    fake_clocks: bool = False,
) -> AsyncGenerator[ChaosDeployment]:
    """Start a deployment that keeps its data in `folder`.

    With `fake_clocks`, each process and Valkey have a clock that a fault can set.
    """

    def clock_of(name: str) -> FakeClock | None:
        return FakeClock(folder / f"{name}.clock") if fake_clocks else None

    async with AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(Upstream())
        model_link = await stack.enter_async_context(Proxy(upstream.port))
        opened = open_storage(storage, folder, clock_of("valkey"))
        redis = await stack.enter_async_context(opened)
        env = _environment(folder)
        if confirm_replicas:
            env["MAMBA_REDIS__CONFIRM_REPLICAS"] = str(confirm_replicas)
        deployment = ChaosDeployment(redis, upstream, model_link, [], [], folder / "effects")
        deployment.effects.touch()
        names = [f"api {n + 1}" for n in range(apis)] + [f"worker {n + 1}" for n in range(workers)]
        for name in names:
            link = await stack.enter_async_context(Proxy(redis.port))
            member = _new_member(name, deployment, link, env, clock_of(name))
            member.process.start()
            stack.push_async_callback(_end, member.process)
        await asyncio.gather(*(member.process.ready() for member in deployment.members))
        yield deployment


def _new_member(
    name: str,
    deployment: ChaosDeployment,
    link: Proxy,
    env: dict[str, str],
    clock: FakeClock | None,
) -> Member:
    redis = deployment.storage.env(link)
    env = {**env, **redis, **(clock.env if clock else {})}
    if name.startswith("api"):
        member = Member(name, Api(redis["MAMBA_REDIS__URL"], env), link, clock)
        deployment.apis.append(member)
    else:
        model = f"http://127.0.0.1:{deployment.model_link.port}/v1"
        member = Member(name, Worker(redis["MAMBA_REDIS__URL"], model, env), link, clock)
        deployment.workers.append(member)
    return member


@asynccontextmanager
async def supervised(deployment: ChaosDeployment) -> AsyncGenerator[None]:
    """Restart processes that end, inside the context."""
    tasks = [asyncio.create_task(member.supervise()) for member in deployment.members]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _environment(folder: Path) -> dict[str, str]:
    site = folder / "site"
    site.mkdir()
    source = Path(counting_agent.__file__).read_text()
    install(site, "counting_agent", source)
    return {
        **_SETTINGS,
        counting_agent.EFFECTS: str(folder / "effects"),
        "PYTHONPATH": os.pathsep.join((str(site), os.environ.get("PYTHONPATH", ""))),
    }


async def _end(process: ServerProcess) -> None:
    await process.kill()
    with suppress(ValueError):  # the output is already closed
        await process.stop()
