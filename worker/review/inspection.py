"""The analysis, from a worker's event loop: in a process of its own, bounded in time and size."""

import asyncio
import sys
from collections.abc import Sequence

from pydantic import TypeAdapter

from worker.review.findings import Report
from worker.review.source import Source

MAX_FILES = 200
MAX_CHARS = 1_000_000
_SECONDS = 45.0

_SOURCES = TypeAdapter(Sequence[Source])


class InspectionFailed(Exception):
    """The code could not be analysed within its bounds of time and memory."""


async def inspect_sources(sources: Sequence[Source]) -> Report:
    """Analyse sources without running any of them.

    Raises:
        InspectionFailed: if there is too much of it, or the analysis takes too long.
    """
    chars = sum(len(fragment.text) for source in sources for fragment in source.fragments)
    if len(sources) > MAX_FILES or chars > MAX_CHARS:
        raise InspectionFailed(
            f"At most {MAX_FILES} files and {MAX_CHARS:,} characters can be reviewed at once."
        )
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "worker.review",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(_SECONDS):
            output, _ = await process.communicate(_SOURCES.dump_json(sources))
    except TimeoutError:
        raise InspectionFailed from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise InspectionFailed
    return Report.model_validate_json(output)
