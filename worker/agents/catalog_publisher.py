import asyncio

import structlog

from shared.agents.catalog import AgentCatalog
from shared.background_task import BackgroundTask
from shared.redis.client import REDIS_AWAY
from worker.agents.registry import AgentRegistry

log = structlog.stdlib.get_logger()

#: How soon the API hears of a change, and a worker sees that the file has changed.
_SECONDS = 2.0


class AgentPublisher(BackgroundTask):
    """Keeps the offered agents as their file has them, and tells the API which they are."""

    def __init__(self, agents: AgentRegistry, catalogue: AgentCatalog) -> None:
        self._agents = agents
        self._catalogue = catalogue

    async def _run(self) -> None:
        while True:
            await self._agents.reload()
            try:
                await self._catalogue.publish(self._agents.cards())
            except REDIS_AWAY as error:
                log.warning("agents.not_published", error=str(error))
            await asyncio.sleep(_SECONDS)
