"""Processes of the `mamba` command that start fast.

Importing the modules takes seconds of CPU time. A server process imports most of them once and
forks each process from itself. Each process imports the rest after its environment is set: metrics
read it on import.
"""

import asyncio
import json
import multiprocessing
import os
import runpy
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

_MODULES = (
    *("arq", "ast_grep_py", "bs4", "cryptography.x509", "fastapi.responses", "jwt", "markdownify"),
    *("openai.resources.chat", "openai.types.responses", "pydantic_ai.capabilities"),
    *("pydantic_ai.direct", "pydantic_ai.models.fallback", "pydantic_ai.models.openai"),
    *("pydantic_ai.toolsets", "redis.asyncio.cluster", "regex", "sqlite3", "Stemmer"),
    *("structlog", "uvicorn.protocols.http.httptools_impl", "uvloop", "yaml"),
    *("api.chat.request", "api.chat.system_messages", "api.streaming.stream_view"),
    *("shared.runs.run_details", "shared.settings", "worker.jobs.running_runs"),
    *("worker.models.endpoint", "worker.queue.lease_scripts", "worker.telemetry.tracing"),
    *("worker.tools.display", "worker.tools.notes", "worker.tools.review"),
)
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(list(_MODULES))


class ForkedProgram:
    """`mamba` with arguments, with the part of the interface of `subprocess.Popen` that tests use.

    The output and the errors are appended to files.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        env: Mapping[str, str],
        output: Path,
        errors: Path | None = None,
    ) -> None:
        files = (output, errors or output)
        self._process = _context.Process(
            target=_run, args=(arguments, dict(env), files, Path.cwd()), daemon=True
        )
        self._process.start()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def wait(self, timeout: float | None = None) -> int | None:
        self._process.join(timeout)
        return self.returncode


class CliResult(NamedTuple):
    """What a command printed, and its exit code."""

    code: int
    out: str
    error: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


async def run_mamba(arguments: Sequence[str], env: Mapping[str, str]) -> CliResult:
    """Run a command, with these variables added to the environment."""
    result = await asyncio.to_thread(_completed, arguments, {**os.environ, **env})
    assert "Traceback" not in result.error
    return result


def _completed(arguments: Sequence[str], env: Mapping[str, str]) -> CliResult:
    with TemporaryDirectory() as folder:
        output, errors = Path(folder, "output"), Path(folder, "errors")
        code = ForkedProgram(arguments, env, output, errors).wait()
        assert code is not None
        return CliResult(code, output.read_text(), errors.read_text())


def _run(
    arguments: Sequence[str], env: dict[str, str], files: tuple[Path, Path], folder: Path
) -> None:
    assert "prometheus_client" not in sys.modules
    for number, file in enumerate(files, start=1):
        descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(env)
    time.tzset()
    added = env.get("PYTHONPATH", "").split(os.pathsep)
    sys.path[:0] = [path for path in added if path and path not in sys.path]
    sys.argv = ["mamba", *arguments]
    runpy.run_module("mamba", run_name="__main__", alter_sys=True)
