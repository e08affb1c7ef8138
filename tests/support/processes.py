"""Real processes for tests: Valkey servers, API processes and workers."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self, TypeVar

import httpx

from mamba.dev.valkey import valkey_binary
from shared.redis.client import REDIS_UNAVAILABLE, Redis, connect
from tests.support.forked_program import ForkedProgram
from tests.support.wait import until

ROOT = Path(__file__).parents[2]
#: Variables that take effect only in a process that is not forked from another one.
_NEW_PROCESS_VARIABLES = {"PYTHONPROFILEIMPORTTIME", "LD_PRELOAD"}

#: The sockets that reserve the newest ports, and how many of them are kept.
_reservations: deque[socket.socket] = deque()
_MAX_RESERVATIONS = 100


def free_port() -> int:
    """Return a port on which nothing listens, and reserve it for a server.

    The kernel assigns a reserved port to no other socket. Otherwise, two servers could get the same
    port before one of them listens. A server can bind it, because it sets SO_REUSEADDR.
    """
    reservation = socket.socket()
    for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
        reservation.setsockopt(socket.SOL_SOCKET, option, 1)
    reservation.bind(("127.0.0.1", 0))
    _reservations.append(reservation)
    if len(_reservations) > _MAX_RESERVATIONS:
        _reservations.popleft().close()
    return reservation.getsockname()[1]


class ServerProcess:
    """A child process with captured output."""

    def __init__(self, *command: str, env: Mapping[str, str] | None = None) -> None:
        self._command = command
        self._env = {**os.environ, **(env or {})}
        self._output = tempfile.NamedTemporaryFile()  # noqa: SIM115  (closed in stop)
        self._child: subprocess.Popen[bytes] | ForkedProgram | None = None

    @property
    def child(self) -> subprocess.Popen[bytes] | ForkedProgram:
        assert self._child is not None
        return self._child

    @property
    def output(self) -> str:
        # pread keeps the file offset, which the child shares and writes at.
        size = os.fstat(self._output.fileno()).st_size
        return os.pread(self._output.fileno(), size, 0).decode(errors="replace")

    def start(self) -> Self:
        self._child = subprocess.Popen(
            self._command,
            env=self._env,
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
        )
        return self

    @property
    def cpu_seconds(self) -> float:
        """The CPU time that the process has used, which does not depend on other processes."""
        stat = Path(f"/proc/{self.child.pid}/stat").read_text()
        user, system = stat.rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def send(self, number: signal.Signals) -> None:
        self.child.send_signal(number)

    async def ended(self, *, seconds: float = 30.0) -> int:
        """Wait for the process to end, and return its exit code."""

        async def probe() -> bool:
            return self.child.poll() is not None

        await until(probe, seconds=seconds)
        return self.child.wait() or 0

    async def stop(self) -> int:
        if self.child.poll() is None:
            self.send(signal.SIGCONT)
            self.send(signal.SIGTERM)
        try:
            return await self.ended()
        except TimeoutError:
            await self.kill()
            raise
        finally:
            self._output.close()

    async def kill(self) -> None:
        self.send(signal.SIGKILL)
        await self.ended()


class Valkey(ServerProcess):
    """An empty server on a free port. With `data`, it persists every write in that folder."""

    def __init__(
        self,
        *,
        data: Path | None = None,
        options: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        base = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        keep = ["--appendonly", "yes", "--appendfsync", "always", "--dir", str(data)]
        none = ["--appendonly", "no", "--dir", tempfile.gettempdir()]
        # A file that a replica has received would be loaded by the next server in the folder.
        none += ["--dbfilename", f"{self.port}.rdb", "--rdb-del-sync-files", "yes"]
        # MAMBA_TEST_STORE may name another server, such as redis-server.
        server = os.environ.get("MAMBA_TEST_STORE") or valkey_binary()
        command = [server, *base, "--loglevel", "warning", *(keep if data else none)]
        self._base_command = (*command, *options)
        super().__init__(*self._base_command, env=env)

    def start_as_replica_of(self, primary: "Valkey") -> Self:
        self._command = (*self._base_command, "--replicaof", "127.0.0.1", str(primary.port))
        return self.start()

    def client(self) -> Redis:
        return connect(self.url, name="test", max_connections=8)

    async def ready(self) -> Self:
        client = self.client()

        async def probe() -> bool:
            assert self.child.poll() is None, self.output
            try:
                return bool(await client.execute_command("PING"))
            except REDIS_UNAVAILABLE:
                return False

        try:
            await until(probe)
        finally:
            await client.aclose()
        return self


class MambaProcess(ServerProcess):
    """A process of the `mamba` command."""

    def __init__(self, *arguments: str, env: Mapping[str, str]) -> None:
        super().__init__(sys.executable, "-m", "mamba", *arguments, env=env)
        self._arguments = arguments

    def start(self) -> Self:
        if not _NEW_PROCESS_VARIABLES.isdisjoint(self._env):
            return super().start()
        self._child = ForkedProgram(self._arguments, self._env, Path(self._output.name))
        return self


class Api(MambaProcess):
    def __init__(self, redis_url: str, env: Mapping[str, str] | None = None) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        settings = {"MAMBA_REDIS__URL": redis_url, "MAMBA_SERVER__PORT": str(self.port)}
        super().__init__("api", env={**settings, **(env or {})})

    async def ready(self) -> Self:
        async with httpx.AsyncClient(base_url=self.url, timeout=30) as client:

            async def probe() -> bool:
                assert self.child.poll() is None, self.output
                try:
                    return (await client.get("/health/ready")).status_code == 200
                except httpx.TransportError:
                    return False

            await until(probe, seconds=90)
        return self


class Worker(MambaProcess):
    def __init__(
        self,
        redis_url: str,
        openai_url: str,
        env: Mapping[str, str] | None = None,
        *,
        processes: int | None = None,
    ) -> None:
        option = () if processes is None else ("--processes", str(processes))
        settings = {
            "MAMBA_REDIS__URL": redis_url,
            "MAMBA_OPENAI__BASE_URL": openai_url,
            "MAMBA_OPENAI__API_KEY": "test-key",
        }
        super().__init__("worker", *option, env={**settings, **(env or {})})

    async def ready(self) -> Self:
        async def probe() -> bool:
            assert self.child.poll() is None, self.output
            return "worker.started" in self.output

        await until(probe, seconds=90)
        return self


async def start_all(*processes: Api | Worker | Valkey) -> None:
    for process in processes:
        process.start()
    await asyncio.gather(*(process.ready() for process in processes))


async def stop_all(*processes: ServerProcess) -> None:
    await asyncio.gather(*(process.stop() for process in processes))


_ProcessT = TypeVar("_ProcessT", bound=Api | Worker | Valkey)


@contextmanager
def running(process: _ProcessT) -> Generator[_ProcessT]:
    """Start a process, and stop it at the end of the context: for fixtures that are not async."""
    process.start()
    try:
        asyncio.run(process.ready())
        yield process
    finally:
        asyncio.run(process.stop())
