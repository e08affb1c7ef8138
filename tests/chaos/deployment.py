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
from tests.support.fakes.packages import install
from tests.support.fakes.proxy import Proxy
from tests.support.processes import Api, ServerProcess, Valkey, Worker
from tests.support.redis_sentinel import SentinelPair, open_sentinel_pair
from tests.support.upstream.client import Upstream
from tests.support.wait import until

DRAIN_SECONDS = 2.0
#: How long a process may take to end after SIGTERM.
EXIT_SECONDS = 30.0
#: How long a model's stream may be silent.
SILENCE_SECONDS = 2
_RESTART_SECONDS = 0.5
#: Long enough that a busy machine causes no failovers.
_DOWN_AFTER_MS = 1000
_SETTINGS = {
    "MAMBA_WORKER__DRAIN_SECONDS": str(DRAIN_SECONDS),
    # Faults are far more frequent than these budgets assume.
    "MAMBA_RUN__MAX_CRASHES": "1000",
    "MAMBA_RUN__MAX_RETRIES": "1000",
    "MAMBA_OPENAI__TIMEOUT_SECONDS": str(SILENCE_SECONDS),
    "MAMBA_OPENAI__FIRST_TOKEN_TIMEOUT_SECONDS": "3",
}


@dataclass
class Member:
    """A supervised process, and its link to Valkey."""

    name: str
    process: Api | Worker
    link: Proxy
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
    valkey: Valkey | SentinelPair
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
        return {**outputs, "valkey": self.valkey.output}


@asynccontextmanager
async def open_deployment(
    folder: Path,
    *,
    apis: int = 2,
    workers: int = 3,
    sentinel: bool = False,
    confirm_replicas: int = 0,
) -> AsyncGenerator[ChaosDeployment]:
    """Start a deployment that keeps its data in `folder`.

    With `sentinel`, a replica takes over when Valkey is killed, and no link to Valkey is a proxy.
    """
    async with AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(Upstream())
        model_link = await stack.enter_async_context(Proxy(upstream.port))
        opened = (
            open_sentinel_pair(folder, down_after_ms=_DOWN_AFTER_MS)
            if sentinel
            else _open_valkey(folder)
        )
        valkey = await stack.enter_async_context(opened)
        env = _environment(folder)
        if confirm_replicas:
            env["MAMBA_REDIS__CONFIRM_REPLICAS"] = str(confirm_replicas)
        deployment = ChaosDeployment(valkey, upstream, model_link, [], [], folder / "effects")
        deployment.effects.touch()
        for number in range(apis):
            link = await stack.enter_async_context(Proxy(_port(valkey)))
            process = Api(_url(valkey, link), env)
            deployment.apis.append(Member(f"api {number + 1}", process, link))
        for number in range(workers):
            link = await stack.enter_async_context(Proxy(_port(valkey)))
            process = Worker(_url(valkey, link), f"http://127.0.0.1:{model_link.port}/v1", env)
            deployment.workers.append(Member(f"worker {number + 1}", process, link))
        for member in deployment.members:
            member.process.start()
            stack.push_async_callback(_end, member.process)
        await asyncio.gather(*(member.process.ready() for member in deployment.members))
        yield deployment


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


def _port(valkey: Valkey | SentinelPair) -> int:
    return valkey.port if isinstance(valkey, Valkey) else valkey.primary.port


def _url(valkey: Valkey | SentinelPair, link: Proxy) -> str:
    return f"redis://127.0.0.1:{link.port}/0" if isinstance(valkey, Valkey) else valkey.url


@asynccontextmanager
async def _open_valkey(folder: Path) -> AsyncGenerator[Valkey]:
    valkey = Valkey(data=folder).start()
    try:
        yield await valkey.ready()
    finally:
        await _end(valkey)


async def _end(process: ServerProcess) -> None:
    await process.kill()
    with suppress(ValueError):  # the output is already closed
        await process.stop()
