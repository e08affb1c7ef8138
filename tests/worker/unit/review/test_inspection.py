import asyncio
import os
import sys
import tempfile
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from tests.support.wait import until
from worker.review import inspection
from worker.review.inspection import InspectionFailed, inspect_sources
from worker.review.source import Fragment, ReviewSource


def python(text: str, path: str = "a.py") -> ReviewSource:
    return ReviewSource(path=path, language="python", fragments=(Fragment(start=1, text=text),))


async def test_analysis_runs_in_a_subprocess() -> None:
    report = await inspect_sources([python("print(eval(input()))\n")])

    assert [finding.rule for finding in report.findings] == ["ruff:S307"]


async def test_inspected_code_is_not_executed(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    await inspect_sources([python(f"open({str(mark)!r}, 'w').close()\n")])

    assert not mark.exists()


async def test_slow_analysis_times_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(inspection, "_SECONDS", 0.01)

    with pytest.raises(InspectionFailed):
        await inspect_sources([python("x = 1\n")])


@pytest.mark.parametrize("while_it_starts", [False, True])
async def test_cancelled_analysis_leaves_no_process_or_file(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    while_it_starts: bool,  # noqa: FBT001
) -> None:
    alive, program, folder = tmp_path / "alive", tmp_path / "program", tmp_path / "temporary"
    os.mkfifo(alive)
    folder.mkdir()
    script = f"""\
        #!/bin/sh
        mktemp -d && exec 3> {alive}
        sleep 600 & wait
    """
    program.write_text(dedent(script))
    program.chmod(0o700)
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setattr(sys, "executable", str(program))
    reader = os.open(alive, os.O_RDONLY | os.O_NONBLOCK)

    async def opened() -> bool:
        return _is_written_to(reader)

    async def closed() -> bool:
        return not _is_written_to(reader)

    create_process, started = asyncio.create_subprocess_exec, asyncio.Event()

    async def start_slowly(*command: str, **options: Any) -> asyncio.subprocess.Process:
        process = await create_process(*command, **options)
        await started.wait()
        return process

    if while_it_starts:
        monkeypatch.setattr(asyncio, "create_subprocess_exec", start_slowly)
    inspecting = asyncio.create_task(inspect_sources([python("x = 1\n")]))
    await until(opened)

    inspecting.cancel()
    await asyncio.sleep(0)
    started.set()
    with pytest.raises(asyncio.CancelledError):
        await inspecting

    await until(closed)
    os.close(reader)
    assert list(folder.iterdir()) == []


def _is_written_to(fifo: int) -> bool:
    """Return whether a process has the FIFO open for writing."""
    try:
        return os.read(fifo, 1) != b""
    except BlockingIOError:
        return True


async def test_at_most_two_analyses_run_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    running: list[int] = []
    create_process = asyncio.create_subprocess_exec
    alive: set[asyncio.subprocess.Process] = set()

    async def counted(*command: str, **options: Any) -> asyncio.subprocess.Process:
        process = await create_process(*command, **options)
        alive.difference_update([p for p in alive if p.returncode is not None])
        alive.add(process)
        running.append(len(alive))
        return process

    monkeypatch.setattr(asyncio, "create_subprocess_exec", counted)
    await asyncio.gather(*(inspect_sources([python("x = 1\n")]) for _ in range(4)))

    assert len(running) == 4
    assert max(running) == 2
