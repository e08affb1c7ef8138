"""The benchmark's direct server answers, as the API does."""

import pytest

from bench.__main__ import DirectApi
from bench.load import ask
from tests.support.processes import start_all, stop_all
from tests.support.upstream.client import Upstream

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_direct_server_of_the_benchmark_answers(upstream: Upstream, name: str) -> None:
    await upstream.script(name, [[{"words": 20}]])
    direct = DirectApi(upstream.base_url)
    try:
        await start_all(direct)
        answer = await ask(f"{direct.url}/chat", name)
    finally:
        await stop_all(direct)

    assert answer.words == 20
