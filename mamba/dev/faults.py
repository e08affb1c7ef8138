"""Routes of the playground that end processes. Only the API that `mamba dev` starts has them."""

import socket
from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI, Query, Request
from pydantic import BaseModel

from api.auth.auth_errors import UntrustedOrigin
from api.auth.principal import Caller
from api.http.cors import is_own_page
from api.process import CurrentProcess
from mamba.dev.control_socket import LauncherClient
from shared.errors import NotFound


class Fault(BaseModel):
    """What was done, as a sentence for the user."""

    detail: str


def install(app: FastAPI, socket_path: str) -> None:
    """Add the routes, which send commands to the launcher at this socket."""
    launcher = LauncherClient(socket_path)
    router = APIRouter(
        prefix="/playground", include_in_schema=False, dependencies=[Depends(_check_page)]
    )

    @router.post("/kill-worker")
    async def kill_worker(
        process: CurrentProcess, caller: Caller, chat: Annotated[str, Query(max_length=300)]
    ) -> Fault:
        """Kill the worker that executes the live run of the caller's chat."""
        run = await process.lookup.find(caller, chat)
        worker = (await process.run_control.describe(run.id))["worker"] if run else None
        if worker is None:
            raise NotFound("No worker is writing an answer in this chat.")
        pid = await _local_pid(process, worker)
        if pid is None or not await launcher.kill_worker(pid):
            raise NotFound(f"Worker {worker} was not started by this mamba dev.")
        return Fault(detail=f"Worker {worker} was killed (SIGKILL).")

    @router.post("/restart-api")
    async def restart_api(caller: Caller) -> Fault:  # noqa: ARG001
        await launcher.restart_api()
        return Fault(detail="The API is restarting.")

    app.include_router(router)
    app.state.can_break = True


async def _check_page(request: Request) -> None:
    """Reject other pages, also those on this machine that may call the rest of the API."""
    if not is_own_page(request.headers):
        raise UntrustedOrigin(
            "foreign_page", "Only the playground may send this request. Open its page at /."
        )


async def _local_pid(process: CurrentProcess, worker_id: str) -> int | None:
    """Return the process id of a worker on this machine."""
    host = socket.gethostname()
    workers = (await process.monitor.overview()).workers
    found = (w.pid for w in workers if w.id == worker_id and w.host == host)
    return next(found, None)
