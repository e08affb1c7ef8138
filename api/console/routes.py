"""What the console asks for, and what it orders: an operator's alone, and its own page's.

They are no part of the API's document: they change with the page that they are for.
"""

import asyncio
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Depends, Header, Path, Response
from pydantic import BaseModel

from api.auth.auth_errors import UntrustedOrigin
from api.auth.principal import OPERATOR, Caller, require_scope
from api.console.page import PATH
from api.console.snapshot_stream import SnapshotStream, as_json
from api.process import CurrentProcess
from api.routes.chats import LastEventId, cursor_of
from api.streaming.stream_format import UI_MESSAGE
from shared.streams.event_stream import START

log = structlog.stdlib.get_logger()

#: How long a request waits for a Redis that says nothing; longer than a worker may take to listen.
_REDIS_SECONDS = 10.0

_Id = Annotated[str, Path(min_length=1, max_length=200)]


def _own_page(sec_fetch_site: Annotated[str | None, Header()] = None) -> None:
    """What a browser sends of itself; a page, also one of another port, cannot forge it."""
    if sec_fetch_site not in (None, "same-origin", "none"):
        raise UntrustedOrigin(
            "foreign_page", f"The console answers to its own page alone: open {PATH}."
        )


router = APIRouter(
    prefix=PATH,
    include_in_schema=False,
    dependencies=[Depends(_own_page), require_scope(OPERATOR)],
)


class Done(BaseModel):
    """What has become of an order, in words."""

    detail: str


@router.get("/overview")
async def overview(process: CurrentProcess) -> Response:
    """The house as it is, with its last hour."""
    content = as_json(await process.observatory.overview())
    headers = {"cache-control": "no-store"}
    return Response(content, headers=headers, media_type="application/json")


@router.get("/stream")
async def stream(process: CurrentProcess) -> Response:
    """The same, again and again."""
    return SnapshotStream(process.observatory, process.draining)


@router.get("/runs/{run_id}")
async def show_run(process: CurrentProcess, run_id: _Id, response: Response) -> dict[str, Any]:
    """What is known of a run, but not what was said."""
    response.headers["cache-control"] = "no-store"
    async with asyncio.timeout(_REDIS_SECONDS):
        return await process.orders.describe(run_id)


@router.get("/runs/{run_id}/events")
async def follow_run(
    process: CurrentProcess, caller: Caller, run_id: _Id, last_event_id: LastEventId = None
) -> Response:
    """Follow a run as its client does. Its words are shown here alone; the log tells who looked."""
    cursor = cursor_of(last_event_id)
    async with asyncio.timeout(_REDIS_SECONDS):
        run = await process.orders.find(run_id)
        after = await process.runs.place(run, cursor.cursor if cursor else START)
        if after is None:
            return Response(status_code=204)
        log.info("ops.run_followed", run_id=run_id, operator=caller.owner)
        return await process.relay(run, UI_MESSAGE, after, rebuild=cursor is None)


@router.post("/runs/{run_id}/stop")
async def stop_run(process: CurrentProcess, caller: Caller, run_id: _Id) -> Done:
    async with asyncio.timeout(_REDIS_SECONDS):
        run = await process.orders.stop_live(run_id)
    log.info("ops.run_stopped", run_id=run_id, operator=caller.owner)
    return Done(detail=f"{run_id} is {run.state}.")


@router.post("/runs/{run_id}/requeue")
async def requeue_run(process: CurrentProcess, caller: Caller, run_id: _Id) -> Done:
    async with asyncio.timeout(_REDIS_SECONDS):
        run = await process.orders.requeue(run_id)
    log.info("ops.run_requeued", run_id=run_id, operator=caller.owner)
    return Done(detail=f"{run_id} is due in the queue {run.queue}.")


@router.post("/workers/{worker_id}/drain")
async def drain_worker(process: CurrentProcess, caller: Caller, worker_id: _Id) -> Done:
    async with asyncio.timeout(_REDIS_SECONDS):
        await process.orders.drain(worker_id)
    log.info("ops.worker_drained", worker_id=worker_id, operator=caller.owner)
    return Done(detail=f"{worker_id} takes nothing new, and ends.")
