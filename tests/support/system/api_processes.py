"""Two API processes that share one port."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.support.processes import Api, start_all
from tests.support.system.running_system import System, kill_process
from tests.support.wait import until


@asynccontextmanager
async def api_processes(system: System) -> AsyncGenerator[Api]:
    # The grace period does not explain a short shutdown.
    env = {"MAMBA_SERVER__WORKERS": "2", "MAMBA_SERVER__SHUTDOWN_GRACE_SECONDS": "60"}
    api = Api(system.valkey.url, env)
    try:
        await start_all(api)
        await until(lambda: started(api, 2))
        yield api
    finally:
        await kill_process(api)


async def started(api: Api, times: int) -> bool:
    return api.output.count("api.started") >= times


def pids(api: Api) -> set[int]:
    folder = Path(f"/proc/{api.child.pid}/task/{api.child.pid}/children")
    return {int(pid) for pid in folder.read_text().split()}
