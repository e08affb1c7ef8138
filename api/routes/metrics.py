"""`GET /metrics` for Prometheus. It requires the operator scope unless `metrics.public` is set."""

import asyncio

from fastapi import APIRouter, Request, Response

from api.auth.principal import OPERATOR, MissingScope, Principal
from api.process import CurrentProcess
from shared.telemetry.metrics import exposition

PATH = "/metrics"

router = APIRouter(include_in_schema=False)


@router.get(PATH)
async def metrics(process: CurrentProcess, request: Request) -> Response:
    """Return the metrics of all processes that share this port, and the state of the system."""
    if not process.settings.metrics.public:
        _require_operator(request.scope["state"].get("principal"))
    gauges = await process.gauges.collect()
    accept = request.headers.get("accept", "")
    text, content_type = await asyncio.to_thread(exposition, accept, gauges)
    return Response(text, headers={"content-type": content_type, "cache-control": "no-store"})


def _require_operator(principal: Principal | None) -> None:
    if principal is None or OPERATOR not in principal.scopes:
        raise MissingScope(OPERATOR)
