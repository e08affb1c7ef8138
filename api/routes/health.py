"""Liveness and readiness of this process, and the health of the whole system."""

import asyncio
from typing import Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from api.http import problems
from api.monitoring.component_checks import Component, Components
from api.process import CurrentProcess
from shared.errors import Unavailable
from shared.redis.client import REDIS_UNAVAILABLE

router = APIRouter(prefix="/health", tags=["health"])

_PING_SECONDS = 2.0
#: Without these, no chat is answered. An unavailable model fails runs, but they are accepted.
_REQUIRED = ("redis", "streams", "workers")

_EXAMPLE = {
    "status": "healthy",
    "components": {
        "openai": {"status": "healthy", "latency_ms": 150.2},
        "redis": {"status": "healthy", "latency_ms": 0.4},
        "queue": {"status": "healthy", "latency_ms": 0.5, "detail": "0 waiting, 14 running"},
        "workers": {
            "status": "healthy",
            "latency_ms": 0.6,
            "detail": "2 alive, 14 of 512 slots in use",
        },
    },
}
_UNHEALTHY_EXAMPLE = {
    "status": "unhealthy",
    "components": {"workers": {"status": "unhealthy", "detail": "No worker is alive."}},
}


class Probe(BaseModel):
    status: str = Field(default="ok", examples=["ok"])


class Health(BaseModel):
    status: Literal["healthy", "degraded", "unhealthy"] = Field(
        description="unhealthy: no chat can be answered; degraded: some chats wait or fail"
    )
    components: dict[str, Component] = Field(
        description="`redis`, `streams` (with split storage), `queue`, other queues as "
        "`queue:NAME`, `workers`, the model endpoints by name, and `api` while this process "
        "shuts down"
    )


@router.get(
    "",
    operation_id="get_health",
    response_model_exclude_none=True,
    responses={
        200: {
            "description": "Chats can be answered.",
            "content": {"application/json": {"example": _EXAMPLE}},
        },
        503: {
            "model": Health,
            "description": "Chats cannot be answered.",
            "content": {"application/json": {"example": _UNHEALTHY_EXAMPLE}},
        },
    },
)
async def health(process: CurrentProcess, response: Response) -> Health:
    """Return the health of every component, at most a few seconds old."""
    components = await process.checks.read()
    status = _overall(components)
    if process.draining.requested:
        status = "unhealthy"
        api = Component(status="unhealthy", detail="This process is shutting down.")
        components = {**components, "api": api}
    response.status_code = 503 if status == "unhealthy" else 200
    response.headers["cache-control"] = "no-store"
    return Health(status=status, components=components)


@router.get("/live", operation_id="get_liveness")
async def live() -> Probe:
    """Return 200 while the process runs."""
    return Probe()


@router.get("/ready", operation_id="get_readiness", responses=problems.responses(503))
async def ready(process: CurrentProcess) -> Probe:
    """Return 200 if this process accepts chats: it reaches Redis and is not shutting down."""
    if process.draining.requested:
        raise Unavailable("This process is shutting down.")
    try:
        async with asyncio.timeout(_PING_SECONDS):
            await process.stores.queue_redis.execute_command("PING")
            if process.stores.split:
                await process.stores.each_stream_node("PING")
    except (*REDIS_UNAVAILABLE, TimeoutError):
        raise Unavailable("Redis is unreachable.") from None
    return Probe()


def _overall(components: Components) -> Literal["healthy", "degraded", "unhealthy"]:
    if any(components[name].status == "unhealthy" for name in _REQUIRED if name in components):
        return "unhealthy"
    impaired = any(
        component.status in ("degraded", "unhealthy") for component in components.values()
    )
    return "degraded" if impaired else "healthy"
