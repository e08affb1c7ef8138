"""The agents that requests may name: built in, described in the file, and offered by workers."""

import time

import structlog

from shared.agents.agent_file import AgentFile
from shared.agents.card import BUILT_IN, AgentCard
from shared.agents.catalog import AgentCatalog
from shared.errors import InvalidRequest, SettingsError

log = structlog.stdlib.get_logger()

#: The age at which what the workers said is asked for again.
_FRESH_SECONDS = 2.0


class AgentDirectory:
    """One a process.

    Raises:
        SettingsError: if the file is wrong at the start; later it is logged, and the old stays.
    """

    def __init__(self, catalogue: AgentCatalog, file: AgentFile) -> None:
        self._catalogue = catalogue
        self._file = file
        self._described = [agent.card for agent in file.read()]
        self._offered: list[AgentCard] = []
        self._asked_at = float("-inf")

    async def all(self) -> list[AgentCard]:
        """Each agent once: the built-in ones, then the others by name."""
        if time.monotonic() - self._asked_at > _FRESH_SECONDS:
            await self._ask()
        return self._merged()

    async def queues(self) -> set[str]:
        """The names of the agents' queues."""
        return {card.queue for card in await self.all()}

    async def find(self, name: str) -> AgentCard:
        """The agent of this name.

        Raises:
            InvalidRequest: if there is none; it says which there are.
        """
        card = self._known(name)
        if card is None:
            await self._ask()  # a worker may just have brought it
            card = self._known(name)
        if card is None:
            there_are = ", ".join(card.name for card in self._merged())
            raise InvalidRequest(
                f"agent: There is no such agent. There are: {there_are}.", field="agent"
            )
        return card

    def _known(self, name: str) -> AgentCard | None:
        return next((card for card in self._merged() if card.name == name), None)

    def _merged(self) -> list[AgentCard]:
        """The file's word counts for more than a worker's that has perhaps not read it yet."""
        self._reread()
        told = {card.name: card.own_tools for card in self._offered}
        described = [
            card.model_copy(update={"own_tools": told.get(card.name, ())})
            for card in self._described
        ]
        cards = {card.name: card for card in [*BUILT_IN, *self._offered, *described]}
        first = [cards.pop(card.name) for card in BUILT_IN]
        return [*first, *(cards[name] for name in sorted(cards))]

    async def _ask(self) -> None:
        self._offered = await self._catalogue.read()
        self._asked_at = time.monotonic()

    def _reread(self) -> None:
        if not self._file.changed():
            return
        try:
            self._described = [agent.card for agent in self._file.read()]
        except SettingsError as error:
            log.error("agents.file_wrong", error=str(error))  # noqa: TRY400  (it says where)
