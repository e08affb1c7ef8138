"""Fuzzed requests: the API matches its OpenAPI document and never returns a 500."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.support.processes import Api, Valkey, Worker, start_all, stop_all
from tests.support.system.running_system import System
from tests.support.upstream.client import Upstream

pytestmark = pytest.mark.asyncio(loop_scope="session")

CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,"
    "response_headers_conformance,response_schema_conformance"
)
SECONDS = 270


@pytest_asyncio.fixture(loop_scope="session")
async def explored(upstream: Upstream) -> AsyncGenerator[System]:
    """A separate system, because the requests sent here would disturb other tests."""
    await upstream.script("explored", [[{"text": ["Hi"]}]])
    env = {"MAMBA_OPENAI__DEFAULT_MODEL": "explored"}
    valkey = Valkey()
    api, worker = Api(valkey.url, env), Worker(valkey.url, upstream.base_url, env)
    valkey.start()
    await valkey.ready()
    try:
        await start_all(api, worker)
        yield System(valkey, upstream, [api], [worker])
    finally:
        await stop_all(api, worker)
        await stop_all(valkey)


async def test_fuzzed_requests_get_only_documented_responses(
    explored: System, tmp_path: Path
) -> None:
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "run"),
        f"{explored.apis[0].url}/openapi.json",
        *("--checks", CHECKS, "--phases", "examples,coverage,fuzzing"),
        *("--max-examples", "12", "--seed", "1", "--generation-deterministic"),
        *("--request-timeout", "60", "--no-color"),
    ]
    found = await asyncio.to_thread(
        subprocess.run,
        command,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )

    assert found.returncode == 0, found.stdout
    output = explored.apis[0].output + explored.workers[0].output
    assert "request.failed" not in output
    assert "Traceback" not in output
