import asyncio

import structlog

from shared.agents.catalog import AgentCatalog
from shared.background_task import BackgroundTask
from shared.redis.client import REDIS_UNAVAILABLE
from worker.agents.registry import AgentRegistry

log = structlog.stdlib.get_logger()

#: Seconds between two checks of the agent file, each followed by a publication.
_INTERVAL_SECONDS = 2.0


class AgentCatalogPublisher(BackgroundTask):
    """Reloads the agent file when it changes, and publishes the agent cards to the catalog."""

    def __init__(self, agents: AgentRegistry, catalog: AgentCatalog) -> None:
        self._agents = agents
        self._catalog = catalog

    async def _run(self) -> None:
        while True:
            await self._agents.reload()
            try:
                await self._catalog.publish(self._agents.cards())
            except REDIS_UNAVAILABLE as error:
                log.warning(
                    "agents.not_published",
                    message="Agent catalog not published because Redis is unavailable",
                    error=str(error),
                )
            await asyncio.sleep(_INTERVAL_SECONDS)
