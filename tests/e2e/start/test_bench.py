"""The benchmark: its arguments, and its direct server, which answers as the API does."""

import pytest

from bench.__main__ import DEFAULT_ROUNDS, DirectApi, parse_arguments
from bench.load import ask
from bench.measurements import cpu_seconds
from tests.support.processes import start_all, stop_all
from tests.support.upstream.client import Upstream

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_direct_server_of_the_benchmark_answers(upstream: Upstream, name: str) -> None:
    await upstream.script(name, [[{"words": 20}]])
    direct = DirectApi(upstream.base_url)
    try:
        await start_all(direct)
        answer = await ask(f"{direct.url}/chat", name)
        used = cpu_seconds((direct.child.pid,))
    finally:
        await stop_all(direct)

    assert answer.words == 20
    assert 0 < used < 60


async def test_rounds_are_an_argument(capsys: pytest.CaptureFixture[str]) -> None:
    assert parse_arguments([]).rounds == DEFAULT_ROUNDS
    assert parse_arguments(["--rounds", "1"]).rounds == 1
    for arguments, code in ((["--help"], 0), (["--rounds", "0"], 2)):
        with pytest.raises(SystemExit) as exit_:
            parse_arguments(arguments)
        assert exit_.value.code == code
    printed = capsys.readouterr()
    assert "--rounds N" in printed.out
    assert "must be 1 or greater (got 0)" in printed.err
