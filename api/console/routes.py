"""The routes of the console, for operators and the console's own page only.

They are not in the OpenAPI document, because they change together with the page.
"""

from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel

from api.auth.principal import OPERATOR, Caller, Principal, require_scope
from api.console.page import PATH
from api.console.snapshot_stream import SnapshotStream, to_json
from api.pages.own_page import own_page_only
from api.process import CurrentProcess
from api.streaming.cursor import LastEventId, read_last_event_id
from api.streaming.stream_format import UI_MESSAGE
from shared.queue.operator_actions import ActionEvent, OperatorAction
from shared.queue.pauses import Pausable

log = structlog.stdlib.get_logger()

_NO_STORE = {"cache-control": "no-store"}

_Id = Annotated[str, Path(min_length=1, max_length=200)]
_QueueName = Annotated[str | None, Query(min_length=1, max_length=200)]

router = APIRouter(
    prefix=PATH,
    include_in_schema=False,
    dependencies=[own_page_only(PATH), require_scope(OPERATOR)],
)


class CommandResult(BaseModel):
    """The result of a command, as a sentence for the operator."""

    detail: str


@router.get("/overview")
async def overview(process: CurrentProcess) -> Response:
    """Return the system snapshot with the metrics history of the last hour."""
    content = to_json(await process.monitor.overview())
    return Response(content, headers=_NO_STORE, media_type="application/json")


@router.get("/stream")
async def stream(process: CurrentProcess) -> Response:
    """Stream the system snapshot."""
    return SnapshotStream(process.monitor, process.owners, process.draining)


@router.get("/runs/{run_id}")
async def show_run(process: CurrentProcess, run_id: _Id, response: Response) -> dict[str, Any]:
    """Return a run's record, without its messages."""
    response.headers.update(_NO_STORE)
    return await process.run_control.describe(run_id)


@router.get("/runs/{run_id}/events")
async def follow_run(
    process: CurrentProcess, caller: Caller, run_id: _Id, last_event_id: LastEventId = None
) -> Response:
    """Stream a run's events as its client receives them. The log records which operator did so."""
    cursor = read_last_event_id(last_event_id)
    run = await process.run_control.find(run_id)
    if await process.lookup.is_over(run, cursor):
        return Response(status_code=204)
    log.info(
        "ops.run_followed",
        message="Operator follows a run",
        run_id=run_id,
        operator=caller.owner,
    )
    return await process.relays.create(run, UI_MESSAGE, cursor, rebuild=cursor is None, merged=True)


@router.post("/runs/{run_id}/stop")
async def stop_run(process: CurrentProcess, caller: Caller, run_id: _Id) -> CommandResult:
    run = await process.run_control.stop_live(run_id)
    _log("ops.run_stopped", caller, run_id=run_id)
    return CommandResult(detail=f"Run {run_id} is {run.state}.")


@router.post("/runs/{run_id}/requeue")
async def requeue_run(process: CurrentProcess, caller: Caller, run_id: _Id) -> CommandResult:
    run = await process.run_control.requeue(run_id)
    _log("ops.run_requeued", caller, run_id=run_id)
    return CommandResult(detail=f"Run {run_id} is due now in queue {run.queue}.")


@router.post("/runs/{run_id}/move-to-front")
async def move_run_to_front(process: CurrentProcess, caller: Caller, run_id: _Id) -> CommandResult:
    run = await process.run_control.move_to_front(run_id, operator=caller.owner)
    _log("ops.run_moved_to_front", caller, run_id=run_id)
    return CommandResult(detail=f"Run {run_id} is now the first one in queue {run.queue}.")


@router.post("/workers/{worker_id}/drain")
async def drain_worker(process: CurrentProcess, caller: Caller, worker_id: _Id) -> CommandResult:
    await process.run_control.drain(worker_id)
    _log("ops.worker_drained", caller, worker_id=worker_id)
    return CommandResult(detail=f"Worker {worker_id} takes no new runs and will exit.")


@router.post("/pause/{what}")
async def pause(
    process: CurrentProcess, caller: Caller, what: Pausable, queue: _QueueName = None
) -> CommandResult:
    """Pause the intake or the processing of one queue, or of all. The deployment logs it."""
    return CommandResult(detail=await process.queues.pause(what, queue, operator=caller.owner))


@router.post("/resume/{what}")
async def resume(
    process: CurrentProcess, caller: Caller, what: Pausable, queue: _QueueName = None
) -> CommandResult:
    """End a pause. The deployment logs it."""
    return CommandResult(detail=await process.queues.resume(what, queue, operator=caller.owner))


def _log(event: ActionEvent, caller: Principal, **fields: str | None) -> None:
    OperatorAction(event=event, operator=caller.owner, fields=fields).write_log()
