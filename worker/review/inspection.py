"""Runs the analysis from the event loop, in a subprocess with limits on time and size."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import Sequence
from contextlib import suppress
from tempfile import TemporaryDirectory

import structlog
from pydantic import TypeAdapter

from worker.review.findings import Report
from worker.review.source import ReviewSource

_SECONDS = 45.0

log = structlog.stdlib.get_logger()

_SOURCES = TypeAdapter(Sequence[ReviewSource])
#: A model can request many analyses in one step. Each uses a core and up to 1 GiB of memory.
_SLOTS = asyncio.Semaphore(2)


class InspectionFailed(Exception):
    """The code could not be analyzed within the limits on time and memory."""


async def inspect_sources(sources: Sequence[ReviewSource]) -> Report:
    """Analyze sources without executing them.

    Raises:
        InspectionFailed: if the analysis fails or takes too long.
    """
    async with _SLOTS:
        with TemporaryDirectory() as folder:
            output = await _run_analysis(sources, folder)
    return Report.model_validate_json(output)


async def _run_analysis(sources: Sequence[ReviewSource], folder: str) -> bytes:
    """Return the output of the subprocess. Its children and temporary files are always removed."""
    process = await _start(folder)
    try:
        async with asyncio.timeout(_SECONDS):
            output, _ = await process.communicate(_SOURCES.dump_json(sources))
    except TimeoutError:
        raise InspectionFailed(
            f"The analysis took longer than {_SECONDS:.0f} seconds. Name a path to analyze less."
        ) from None
    finally:
        await _end(process)
    if process.returncode:
        log.warning(
            "review.failed",
            message="The analysis of code ended with an error",
            exit_code=process.returncode,
            files=len(sources),
        )
        raise InspectionFailed(
            "The analysis failed, because the code needs too much time or memory. Name a path to"
            " analyze less, or review the code without it."
        )
    return output


async def _start(folder: str) -> Process:
    """Start the subprocess. If the start is cancelled, kill its process group as well."""
    starting = asyncio.create_task(
        asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "worker.review",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={**os.environ, "TMPDIR": folder},
            start_new_session=True,
        )
    )
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        await _end(await starting)
        raise


async def _end(process: Process) -> None:
    with suppress(ProcessLookupError):  # it has died; its linter may still run
        os.killpg(process.pid, signal.SIGKILL)
    await process.communicate()  # reads to the end, which closes the pipes
