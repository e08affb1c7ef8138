"""The analysis, from a worker's event loop: in a process of its own, bounded in time and size."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import Sequence
from contextlib import suppress
from tempfile import TemporaryDirectory

from pydantic import TypeAdapter

from worker.review.findings import Report
from worker.review.source import ReviewSource

MAX_FILES = 200
MAX_CHARS = 1_000_000
_SECONDS = 45.0

_SOURCES = TypeAdapter(Sequence[ReviewSource])
#: A model may ask for any number of analyses in one step; each takes a core and up to a gigabyte.
_SLOTS = asyncio.Semaphore(2)


class InspectionFailed(Exception):
    """The code could not be analysed within its bounds of time and memory."""


async def inspect_sources(sources: Sequence[ReviewSource]) -> Report:
    """Analyse sources without running any of them.

    Raises:
        InspectionFailed: if there is too much of it, or the analysis takes too long.
    """
    chars = sum(len(fragment.text) for source in sources for fragment in source.fragments)
    if len(sources) > MAX_FILES or chars > MAX_CHARS:
        raise InspectionFailed(
            f"At most {MAX_FILES} files and {MAX_CHARS:,} characters can be reviewed at once."
        )
    async with _SLOTS:
        with TemporaryDirectory() as folder:
            output = await _analysed(sources, folder)
    return Report.model_validate_json(output)


async def _analysed(sources: Sequence[ReviewSource], folder: str) -> bytes:
    """The analysis' output. What it has begun or written ends with it, however it ends."""
    process = await _begun(folder)
    try:
        async with asyncio.timeout(_SECONDS):
            output, _ = await process.communicate(_SOURCES.dump_json(sources))
    except TimeoutError:
        raise InspectionFailed from None
    finally:
        await _end(process)
    if process.returncode:
        raise InspectionFailed
    return output


async def _begun(folder: str) -> Process:
    """The process, or none: asyncio ends one whose start is cancelled, but not what it began."""
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
    with suppress(ProcessLookupError):  # its linter outlives it, where it has died
        os.killpg(process.pid, signal.SIGKILL)
    await process.communicate()  # reads to the end, so that its pipes are closed
