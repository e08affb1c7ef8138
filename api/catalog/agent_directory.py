"""The agents that requests may name: built in, described in the agent file, or run by workers."""

import structlog

from shared.agents.agent_card import BUILT_IN_AGENTS, AgentCard
from shared.agents.agent_file import AgentFile
from shared.agents.catalog import AgentCatalog
from shared.errors import InvalidRequest, SettingsError
from shared.single_flight import SingleFlightCache

log = structlog.stdlib.get_logger()

_MAX_AGE_SECONDS = 2.0


class AgentDirectory:
    """Combines the agent file with the agents that the workers publish. Use one per process.

    Raises:
        SettingsError: if the agent file is invalid. Once the process runs, an invalid file is
            logged instead and the last valid version stays in use.
    """

    def __init__(self, catalog: AgentCatalog, file: AgentFile) -> None:
        self._published = SingleFlightCache(catalog.read)
        self._file = file
        self._described = [agent.card for agent in file.current()]

    async def all(self) -> list[AgentCard]:
        """Return each agent once: the built-in agents, then the others by name."""
        await self._published.get(max_age_seconds=_MAX_AGE_SECONDS)
        return self._merge()

    async def queues(self) -> set[str]:
        """Return the names of the agents' queues."""
        return {card.queue for card in await self.all()}

    async def find(self, name: str) -> AgentCard:
        """Return the agent with this name.

        Raises:
            InvalidRequest: if no such agent exists; the message lists those that do.
        """
        card = self._get(name)
        if card is None:  # a worker may have published it since the last read
            self._published.invalidate()
            await self._published.get(max_age_seconds=_MAX_AGE_SECONDS)
            card = self._get(name)
        if card is None:
            known = ", ".join(card.name for card in self._merge())
            raise InvalidRequest(f"agent: Unknown agent. Available agents: {known}.", field="agent")
        return card

    def _get(self, name: str) -> AgentCard | None:
        return next((card for card in self._merge() if card.name == name), None)

    def _merge(self) -> list[AgentCard]:
        """Prefer the agent file: a worker may not have read its latest version yet."""
        self._reread_file()
        published = self._published.latest or []
        tools = {card.name: card.own_tools for card in published}
        described = [
            card.model_copy(update={"own_tools": tools.get(card.name, ())})
            for card in self._described
        ]
        cards = {card.name: card for card in [*BUILT_IN_AGENTS, *published, *described]}
        built_in = [cards.pop(card.name) for card in BUILT_IN_AGENTS]
        return [*built_in, *(cards[name] for name in sorted(cards))]

    def _reread_file(self) -> None:
        if not self._file.changed():
            return
        try:
            self._described = [agent.card for agent in self._file.read()]
        except SettingsError as error:
            log.error(  # noqa: TRY400  (the message names the invalid field)
                "agents.file_invalid",
                message="The agent file is invalid; the last valid version stays in use",
                error=str(error),
            )
