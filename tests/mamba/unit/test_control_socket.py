"""`mamba dev` executes commands of its API, and only on the processes that it started."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncGenerator

import pytest

from mamba.dev.control_socket import ControlSocket, LauncherClient
from mamba.dev.replaceable_child import ReplaceableChild
from mamba.supervisor.children import Child, ChildEnded, Children
from mamba.supervisor.signals import SignalQueue
from tests.support.wait import until

SLEEP = (sys.executable, "-c", "import time; time.sleep(60)")


@pytest.fixture
async def children() -> AsyncGenerator[Children]:
    async with Children(SignalQueue(asyncio.get_running_loop())) as children:
        yield children


async def replaceable(children: Children, name: str) -> ReplaceableChild:
    async def start() -> Child:
        return await children.start(name, *SLEEP, environment={})

    return ReplaceableChild(await start(), start)


async def test_commands_replace_only_the_named_process(children: Children) -> None:
    api, worker = await replaceable(children, "api"), await replaceable(children, "worker")
    watching = [asyncio.create_task(child.must_live()) for child in (api, worker)]
    first_api, first_worker = api.pid, worker.pid
    control = ControlSocket()
    async with control.listen() as path:
        launcher = LauncherClient(path)
        early = await launcher.restart_api()
        control.control(api, worker)
        foreign = [await launcher.kill_worker(pid) for pid in (1, first_api, -1)]
        assert (api.pid, worker.pid) == (first_api, first_worker)

        killed = await launcher.kill_worker(first_worker)
        await until(lambda: _changed(worker, first_worker))
        assert api.pid == first_api
        restarted = await launcher.restart_api()
        await until(lambda: _changed(api, first_api))

    assert (early, foreign, killed, restarted) == (False, [False] * 3, True, True)
    for task in watching:
        task.cancel()


async def test_process_that_dies_by_itself_is_not_replaced(
    children: Children, capsys: pytest.CaptureFixture[str]
) -> None:
    child = await replaceable(children, "worker")
    watching = asyncio.create_task(child.must_live())
    child.replace(signal.SIGKILL)
    first = child.pid
    await until(lambda: _changed(child, first))
    replaced = "mamba dev: worker was killed by SIGKILL; starting another\n"
    assert capsys.readouterr().out == replaced

    os.killpg(child.pid, signal.SIGKILL)

    with pytest.raises(ChildEnded, match="worker was killed by SIGKILL"):
        await asyncio.wait_for(watching, 10)
    assert capsys.readouterr().out == ""


async def _changed(child: ReplaceableChild, pid: int) -> bool:
    return child.pid != pid
