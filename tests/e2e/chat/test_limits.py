"""Limit errors in every version of the client."""

from collections.abc import AsyncGenerator

import pytest
import pytest_asyncio

from tests.support.ai_client.driver import VERSIONS, AiClient
from tests.support.processes import Api, start_all, stop_all
from tests.support.sse_client import SseClient
from tests.support.system.running_system import System

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(loop_scope="session")
async def strict(workerless: System) -> AsyncGenerator[str]:
    """The chat route of an API that allows one live run per owner."""
    api = Api(workerless.valkey.url, {"MAMBA_LIMITS__LIVE_RUNS": "1"})
    await start_all(api)
    yield f"{api.url}/chat"
    await stop_all(api)


async def test_too_many_live_runs_returns_429(
    strict: str, ai: AiClient, sse: SseClient, name: str
) -> None:
    async with sse.ask(strict, f"{name}-first"):
        answers = [await ai.send(ai=v, api=strict, chat=f"{name}-{v}", text="Hi") for v in VERSIONS]

    for answer in answers:
        assert answer.status == "error"
        assert answer.error is not None
        assert '"code":"too_many_runs"' in answer.error.message
        assert "Wait for one to end, or stop one. Try again in " in answer.error.message
        assert [request.status for request in answer.requests] == [429]
