"""The supervisor of several processes, with small programs in place of `mamba`."""

import signal
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from tests.support.processes import ServerProcess
from tests.support.wait import until

SUPERVISOR = """
import asyncio, sys
from mamba.supervisor import replicas
replicas._EXIT_MARGIN_SECONDS = 0.2
command = (sys.executable, "-S", "-c", *sys.argv[1:])
plan = replicas.ReplicaPlan(role="worker", command=command, count=2, exit_seconds=0)
sys.exit(asyncio.run(replicas.Replicas(plan).run()))
"""

#: The first process that starts exits with a code. Later ones write `ready` files and stay.
FIRST_EXITS = """
import os, signal, sys
folder, code = sys.argv[1:]
try:
    os.close(os.open(f"{folder}/first", os.O_CREAT | os.O_EXCL))
except FileExistsError:
    open(f"{folder}/ready-{os.getpid()}", "w").close()
    signal.pause()
sys.exit(int(code))
"""

IGNORES_SIGTERM = """
import os, signal, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
open(f"{sys.argv[1]}/ready-{os.getpid()}", "w").close()
while True:
    signal.pause()
"""


@contextmanager
def supervised(program: str, *arguments: object) -> Generator[ServerProcess]:
    command = (sys.executable, "-c", SUPERVISOR, program, *map(str, arguments))
    supervisor = ServerProcess(*command).start()
    try:
        yield supervisor
    finally:
        supervisor.child.kill()


def ready_pids(folder: Path) -> list[str]:
    return [file.name.removeprefix("ready-") for file in folder.glob("ready-*")]


async def two_ready(folder: Path) -> None:
    async def ready() -> bool:
        return len(ready_pids(folder)) == 2

    await until(ready, seconds=30)


def is_alive(pid: str) -> bool:
    return Path("/proc", pid).exists()


async def test_process_that_cannot_start_ends_all(tmp_path: Path) -> None:
    with supervised(FIRST_EXITS, tmp_path, 2) as supervisor:
        assert await supervisor.ended(seconds=30) == 2

    assert supervisor.output.count("process.died") == 1


async def test_crashed_process_is_replaced_with_an_error(tmp_path: Path) -> None:
    with supervised(FIRST_EXITS, tmp_path, 1) as supervisor:
        await two_ready(tmp_path)
        supervisor.send(signal.SIGTERM)
        assert await supervisor.ended() == 0

    assert supervisor.output.count("process.died") == 1
    assert "code=1" in supervisor.output


async def test_drained_process_is_replaced_without_an_error(tmp_path: Path) -> None:
    with supervised(FIRST_EXITS, tmp_path, 0) as supervisor:
        await two_ready(tmp_path)
        supervisor.send(signal.SIGTERM)
        assert await supervisor.ended() == 0

    assert supervisor.output.count("process.ended") == 1
    assert "process.died" not in supervisor.output


async def test_process_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    with supervised(IGNORES_SIGTERM, tmp_path) as supervisor:
        await two_ready(tmp_path)
        supervisor.send(signal.SIGTERM)
        assert await supervisor.ended() == 0

    assert not [pid for pid in ready_pids(tmp_path) if is_alive(pid)]
