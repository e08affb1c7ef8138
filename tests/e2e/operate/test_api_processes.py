"""`mamba api` with several processes that share one port."""

import os
import signal
from collections.abc import Generator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from tests.support.processes import Api
from tests.support.sse_client import Json, SseClient, check_whole, text
from tests.support.system.api_processes import api_processes, pids, started
from tests.support.system.running_system import System
from tests.support.wait import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

SCRIPT: list[list[Json]] = [[{"text": ["Hel"]}, {"wait": True}, {"text": ["lo"]}]]


def all_pids() -> set[int]:
    return {int(folder.name) for folder in Path("/proc").glob("[0-9]*")}


@contextmanager
def suspended(pid: int) -> Generator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


async def test_every_api_process_serves_requests(system: System, sse: SseClient, name: str) -> None:
    await system.upstream.script(name, [[{"text": ["Hello"]}]])

    async with api_processes(system) as api:
        for pid in pids(api):
            with suspended(pid):
                check_whole(await sse.answer(f"{api.url}/chat", f"{name}-{pid}", model=name))


async def test_dead_api_process_is_replaced(system: System, sse: SseClient, name: str) -> None:
    await system.upstream.script(name, SCRIPT)

    async with api_processes(system) as api:
        first, second = pids(api)
        async with AsyncExitStack() as stack:
            with suspended(first):
                asking = sse.ask(f"{api.url}/chat", name, model=name)
                stream = await stack.enter_async_context(asking)
                os.kill(first, signal.SIGKILL)
            await until(lambda: started(api, 3))
            assert first not in pids(api)
            assert second in pids(api)
            assert len(pids(api)) == 2
            await system.upstream.release(name)
            events = await stream.rest()

    check_whole(events)
    assert text(events) == "Hello"


async def test_sigterm_drains_all_api_processes(system: System, sse: SseClient, name: str) -> None:
    await system.upstream.script(name, SCRIPT)

    async with api_processes(system) as api:
        processes = pids(api)
        async with sse.ask(f"{api.url}/chat", name, model=name) as stream:
            seen = await stream.until("text-delta")
            api.send(signal.SIGTERM)
            with pytest.raises(httpx.RemoteProtocolError, match="incomplete"):
                await stream.rest()
        assert await api.ended() == 0
        assert api.output.count('"event": "api.draining"') == 2
        assert not processes & all_pids()
        with pytest.raises(httpx.ConnectError):
            await sse.status(f"{api.url}/health/live")
    async with sse.follow(system.chat, name, after=seen[-1].id) as stream:
        await system.upstream.release(name)
        events = seen + await stream.rest()

    check_whole(events)
    assert text(events) == "Hello"


async def test_sighup_reloads_all_api_processes(system: System, sse: SseClient, name: str) -> None:
    await system.upstream.script(name, SCRIPT)

    async with api_processes(system) as api:
        processes = pids(api)
        async with sse.ask(f"{api.url}/chat", name, model=name) as stream:
            events = await stream.until("text-delta")
            api.send(signal.SIGHUP)
            await until(lambda: reloaded(api, 2))
            await system.upstream.release(name)
            events += await stream.rest()
        assert pids(api) == processes

    check_whole(events)
    assert text(events) == "Hello"


async def reloaded(api: Api, times: int) -> bool:
    return api.output.count("settings.reloaded") >= times


async def test_wrong_settings_prevent_start(system: System) -> None:
    api = Api(system.valkey.url, {"MAMBA_SERVER__WORKERS": "2", "MAMBA_SERVER__HOTS": "x"})
    api.start()

    assert await api.ended() == 2
    assert "MAMBA_SERVER__HOST" in api.output
    await api.stop()


async def test_port_in_use_is_reported(system: System) -> None:
    taken = str(system.apis[0].port)
    api = Api(system.valkey.url, {"MAMBA_SERVER__WORKERS": "2", "MAMBA_SERVER__PORT": taken})
    api.start()

    assert await api.ended() == 2
    assert f"cannot listen on 127.0.0.1:{taken}" in api.output
    await api.stop()
