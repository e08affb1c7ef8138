"""`GET /metrics`, for Prometheus. It is an operator's, unless the settings open it to everybody."""

import asyncio

from fastapi import APIRouter, Request, Response

from api.auth.principal import OPERATOR, MissingScope, Principal
from api.process import CurrentProcess
from shared.telemetry.metrics import exposition

PATH = "/metrics"

router = APIRouter(include_in_schema=False)


@router.get(PATH)
async def metrics(process: CurrentProcess, request: Request) -> Response:
    """What this process, or all that share its port, have counted; and the state of the house."""
    if not process.settings.metrics.public:
        _check(request.scope["state"].get("principal"))
    gauges = await process.cluster.collect()
    accept = request.headers.get("accept", "")
    text, content_type = await asyncio.to_thread(exposition, accept, gauges)
    return Response(text, headers={"content-type": content_type, "cache-control": "no-store"})


def _check(caller: Principal | None) -> None:
    if caller is None or OPERATOR not in caller.scopes:
        raise MissingScope(OPERATOR)
