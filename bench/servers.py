"""The servers of the benchmark: Mamba, and the direct server that it is compared with."""

import os
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

from bench.load import ask
from bench.upstream import BenchUpstream, model_name
from bench.usage import cpu_seconds
from tests.support.processes import Api, ServerProcess, Valkey, Worker, start_all, stop_all

_WARM_UP_ANSWERS = 40
#: More than the live streams of any measurement, so that none of them waits.
_CONCURRENCY = 2048


class Target(NamedTuple):
    """The URL of a server, and the processes whose CPU time counts."""

    url: str
    pids: tuple[int, ...]


class DirectApi(Api):
    def __init__(self, openai_url: str) -> None:
        super().__init__("redis://unused", {"OPENAI_API_BASE_URL": openai_url})
        self._command = (sys.executable, "-m", "bench.direct")

    def start(self) -> Self:
        ServerProcess.start(self)  # it is no `mamba` command
        return self


@dataclass(frozen=True, slots=True)
class Mamba:
    """Valkey, one API process and one worker command."""

    valkey: Valkey
    api: Api
    worker: Worker

    @property
    def api_and_worker_pids(self) -> tuple[int, ...]:
        """The processes of the API and the worker."""
        return self.api.child.pid, *worker_pids(self.worker)

    @property
    def target(self) -> Target:
        return Target(f"{self.api.url}/chat", (self.valkey.child.pid, *self.api_and_worker_pids))


@dataclass(frozen=True, slots=True)
class Servers:
    """All servers of the comparison."""

    upstream: BenchUpstream
    mamba: Mamba
    direct: DirectApi

    @property
    def direct_target(self) -> Target:
        return Target(f"{self.direct.url}/chat", (self.direct.child.pid,))


@asynccontextmanager
async def open_upstream() -> AsyncGenerator[BenchUpstream]:
    upstream = BenchUpstream()
    upstream.start()
    try:
        await upstream.ready()
        yield upstream
    finally:
        await upstream.stop()


@asynccontextmanager
async def open_mamba(upstream: BenchUpstream, *, processes: int = 1) -> AsyncGenerator[Mamba]:
    """Start Mamba with a worker that has this many processes, and warm it up."""
    async with AsyncExitStack() as stack:
        valkey = Valkey()
        stack.push_async_callback(stop_all, valkey)
        await start_all(valkey)
        worker = Worker(
            valkey.url,
            upstream.base_url,
            {"MAMBA_WORKER__CONCURRENCY": f"{_CONCURRENCY}"},
            processes=processes if processes > 1 else None,
        )
        mamba = Mamba(valkey, Api(valkey.url), worker)
        stack.push_async_callback(stop_all, mamba.api, mamba.worker)
        await start_all(mamba.api, mamba.worker)
        await warm_up(mamba.target.url)
        yield mamba


@asynccontextmanager
async def open_servers() -> AsyncGenerator[Servers]:
    async with open_upstream() as upstream, open_mamba(upstream) as mamba:
        direct = DirectApi(upstream.base_url)
        try:
            await start_all(direct)
            servers = Servers(upstream, mamba, direct)
            await warm_up(servers.direct_target.url)
            yield servers
        finally:
            await stop_all(direct)


async def warm_up(url: str) -> None:
    for _ in range(_WARM_UP_ANSWERS):
        await ask(url, model_name(20))


def worker_pids(worker: Worker) -> tuple[int, ...]:
    """Return the processes that run jobs: the children of a supervisor, or the worker itself."""
    pid = worker.child.pid
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return tuple(map(int, children)) or (pid,)


class CpuShares:
    """The shares of a core that the load driver and other processes use from now on."""

    def __init__(self, servers: Servers) -> None:
        self._pids = {
            "clients": (os.getpid(),),
            "upstream": (servers.upstream.child.pid,),
            "Valkey": (servers.mamba.valkey.child.pid,),
            "API": (servers.mamba.api.child.pid,),
            "worker": worker_pids(servers.mamba.worker),
            "direct": servers.direct_target.pids,
        }
        self._used = self._cpu_seconds()
        self._start = time.perf_counter()

    def __str__(self) -> str:
        seconds = time.perf_counter() - self._start
        used = self._cpu_seconds()
        return ", ".join(
            f"{name} {(used[name] - self._used[name]) / seconds:.0%}" for name in self._pids
        )

    def _cpu_seconds(self) -> dict[str, float]:
        return {name: cpu_seconds(pids) for name, pids in self._pids.items()}
