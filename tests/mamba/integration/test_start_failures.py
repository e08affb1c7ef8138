"""A process that cannot start, or whose state is lost, exits with a readable error."""

import os
import socket
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.support.processes import Api, Valkey, Worker


@pytest.fixture
def missing(tmp_path: Path) -> str:
    return str(tmp_path / "missing")


@pytest.mark.parametrize("kind", [Api, Worker])
async def test_missing_agent_file_is_reported(
    valkey: Valkey, missing: str, kind: type[Api] | type[Worker]
) -> None:
    env = {"MAMBA_AGENTS__FILE": missing}
    process = Api(valkey.url, env) if kind is Api else Worker(valkey.url, "http://x.test", env)

    await check_exit(process, "agents.file: ", missing)


async def test_missing_notes_folder_is_reported(valkey: Valkey, missing: str) -> None:
    env = {"MAMBA_RESEARCH__NOTES_FOLDER": missing}

    await check_exit(Worker(valkey.url, "http://x.test", env), "research.notes_folder: ", missing)


@pytest.fixture
def taken_port() -> Generator[str]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield str(server.getsockname()[1])


async def test_port_in_use_is_reported(valkey: Valkey, taken_port: str) -> None:
    api = Api(valkey.url, {"MAMBA_SERVER__PORT": taken_port})

    output = await check_exit(api, f"('127.0.0.1', {taken_port}): address already in use", code=3)

    assert "api.started" not in output


async def check_exit(process: Api | Worker, *expected: str, code: int = 2) -> str:
    """Check the exit code, and that one line of the output has these texts. Returns the output."""
    process.start()
    try:
        exit_code, output = await process.ended(seconds=60), process.output
    finally:
        await process.stop()

    assert exit_code == code, output
    assert any(all(text in line for text in expected) for line in output.splitlines()), output
    assert "Traceback" not in output
    return output


FAILING_WORKER = """
import sys
from worker.output import writer

async def fail(self):
    raise ValueError("sk-secret")

async def enter(self, enter=writer.GroupCommitter.__aenter__):
    self.shard("run")
    return await enter(self)

writer.ShardWriter._run = fail
writer.GroupCommitter.__aenter__ = enter
sys.argv = ["mamba", "worker"]
from mamba.cli import main
main()
"""


def test_dead_background_task_ends_the_worker_with_an_error(valkey: Valkey) -> None:
    env = {**os.environ, "MAMBA_REDIS__URL": valkey.url, "MAMBA_OPENAI__DEMO": "true"}

    result = subprocess.run(
        [sys.executable, "-c", FAILING_WORKER],
        capture_output=True,
        check=False,
        env=env,
        text=True,
        timeout=60,
    )

    output = result.stdout + result.stderr
    assert result.returncode == 1, output
    assert "background_task.died" in output
    assert "ShardWriter" in result.stderr.splitlines()[-1]
    assert "sk-secret" not in output
