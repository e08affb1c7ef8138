"""Compares the memory of processes at the end with that of warm processes during the run."""

import asyncio
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos.checks.violation import Violation
from tests.chaos.deployment import ChaosDeployment, Member

#: How long after its start a process is warm: it has served requests and loaded all modules.
_WARM_SECONDS = 10.0
_INTERVAL_SECONDS = 1.0
#: How much more memory a process may have at the end than the largest one had when it was warm.
LIMIT_MIB = 32.0


@dataclass
class MemoryWatch:
    """Resident memory, in MiB, of the processes of each kind ("api" and "worker")."""

    #: Of each process when it was warm.
    warm: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    #: Of each process that has lived that long, after the last answer.
    final: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    #: When each process was first seen, by its ID, and the processes in `warm`.
    _started: dict[str, float] = field(default_factory=dict[str, float])
    _measured: set[str] = field(default_factory=set[str])

    def growth(self) -> Iterator[tuple[str, float]]:
        """Return by how much each kind of process has grown."""
        for kind, final in self.final.items():
            yield kind, max(final) - max(self.warm[kind])

    def violations(self) -> list[Violation]:
        return [
            Violation("memory", f"the {kind} processes have grown by {growth:.0f} MiB")
            for kind, growth in self.growth()
            if growth > LIMIT_MIB
        ]

    def sample(self, deployment: ChaosDeployment) -> None:
        now = time.monotonic()
        for member in deployment.members:
            age = now - self._started.setdefault(member.pid, now)
            if age > _WARM_SECONDS and member.pid not in self._measured:
                self._measured.add(member.pid)
                _read(member, self.warm)

    def finish(self, deployment: ChaosDeployment) -> None:
        """Read the memory of the warm processes after the last answer."""
        for member in deployment.members:
            if member.pid in self._measured:
                _read(member, self.final)


@asynccontextmanager
async def watched_memory(deployment: ChaosDeployment) -> AsyncGenerator[MemoryWatch]:
    """Sample the memory of the processes inside the context."""
    watch = MemoryWatch()

    async def sample() -> None:
        while True:
            watch.sample(deployment)
            await asyncio.sleep(_INTERVAL_SECONDS)

    task = asyncio.create_task(sample())
    try:
        yield watch
        watch.finish(deployment)
    finally:
        task.cancel()


def _read(member: Member, sizes: dict[str, list[float]]) -> None:
    """Add the resident memory of a process, unless it has ended or the system is not Linux."""
    try:
        lines = Path(f"/proc/{member.pid}/status").read_text().splitlines()
    except OSError:
        return
    kind = member.name.partition(" ")[0]
    sizes.setdefault(kind, []).extend(
        int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS:")
    )
