"""Liveness and readiness, for the platform that keeps the process."""

import asyncio

from fastapi import APIRouter
from pydantic import BaseModel

from api import problems
from api.process import CurrentProcess
from shared.errors import Unavailable
from shared.redis import REDIS_AWAY

router = APIRouter(prefix="/health", tags=["health"])

_PING_SECONDS = 2.0


class Health(BaseModel):
    status: str = "ok"


@router.get("/live")
async def live() -> Health:
    """The process answers."""
    return Health()


@router.get("/ready", responses=problems.responses(503))
async def ready(process: CurrentProcess) -> Health:
    """The process takes chats: it reaches Redis, and is not on its way out."""
    if process.draining.asked:
        raise Unavailable("This process is shutting down.")
    try:
        async with asyncio.timeout(_PING_SECONDS):
            await process.redis.execute_command("PING")
    except (*REDIS_AWAY, TimeoutError):
        raise Unavailable("Redis cannot be reached.") from None
    return Health()
