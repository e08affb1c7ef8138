"""A running `mamba dev`."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.support.processes import free_port


class Dev:
    """A running `mamba dev`, and all processes with its working directory."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, folder: Path) -> None:
        self.process = process
        self.port = port
        self.folder = folder

    @property
    def output(self) -> str:
        return (self.folder / "output").read_text()

    def is_ready(self) -> bool:
        assert self.process.poll() is None, self.output
        return "Mamba Server is ready" in self.output

    def press_ctrl_c(self) -> None:
        """Signal the foreground process group, as a terminal does."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGINT)

    def processes(self) -> dict[int, str]:
        found: dict[int, str] = {}
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if (process / "cwd").readlink().is_relative_to(self.folder):
                    command = (process / "cmdline").read_bytes()
                    found[int(process.name)] = command.replace(b"\0", b" ").decode().strip()
        return found

    def child(self, command: str) -> int | None:
        return next((pid for pid, line in self.processes().items() if command in line), None)


@contextmanager
def dev(folder: Path, **variables: str) -> Generator[Dev]:
    port = free_port()
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "MAMBA_SERVER__PORT": str(port),
    }
    with (folder / "output").open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "mamba", "dev"],
            cwd=folder,
            env=environment | variables,
            start_new_session=True,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            stdout=file,
        )
    running = Dev(process, int(variables.get("MAMBA_SERVER__PORT", port)), folder)
    try:
        yield running
    finally:
        for pid in running.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()


def until(holds: Callable[[], object], *, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not within {seconds} seconds"
        time.sleep(0.01)
