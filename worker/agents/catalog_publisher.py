import asyncio

import structlog

from shared.agents.catalog import AgentCatalog
from shared.background_task import BackgroundTask
from shared.backoff import Backoff
from shared.redis.client import REDIS_UNAVAILABLE
from worker.agents.registry import AgentRegistry

log = structlog.stdlib.get_logger()

#: Seconds between two checks of the agent file, each followed by a publication.
_INTERVAL_SECONDS = 2.0


class AgentCatalogPublisher(BackgroundTask):
    """Reloads the agent file when it changes, and publishes the agent cards to the catalog.

    Agents that were removed from the file are removed from the catalog.
    """

    def __init__(self, agents: AgentRegistry, catalog: AgentCatalog) -> None:
        self._agents = agents
        self._catalog = catalog
        #: The file agents at the last publication.
        self._in_file: set[str] = set()

    async def _run(self) -> None:
        backoff = Backoff(_INTERVAL_SECONDS, 5)
        while True:
            await self._agents.reload()
            delay = _INTERVAL_SECONDS
            try:
                await self._publish()
                backoff.succeeded()
            except REDIS_UNAVAILABLE as error:
                delay = backoff.failed()
                if backoff.should_log():
                    log.warning(
                        "agents.not_published",
                        message="Agent catalog not published because Redis is unavailable",
                        error=str(error),
                    )
            await asyncio.sleep(delay)

    async def _publish(self) -> None:
        in_file = self._agents.file_agents()
        if removed := self._in_file - in_file:
            await self._catalog.withdraw(removed)
        await self._catalog.publish(self._agents.cards(), also_in_file=in_file)
        self._in_file = in_file
