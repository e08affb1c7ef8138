"""The catalog of agents, published by workers and read by the API.

An agent without workers, for example during a rollout, stays in the catalog for a while, and its
runs wait. An agent that was removed from the agent file does not: workers withdraw it, or stop
renewing it while they renew others.
"""

from collections.abc import Iterable, Sequence

from pydantic import ValidationError

from shared.agents.agent_card import AgentCard
from shared.redis import keys
from shared.redis.client import Redis
from shared.redis.numbers import whole_number
from shared.redis.scripts import Arguments, Key, redis_script
from shared.settings import Settings

#: How long an agent stays in the catalog after its last publication.
KEPT_SECONDS = 600
#: A file agent was removed if workers have renewed other agents for this time, but not this one.
_REMOVED_MS = 10_000


class AgentCatalog:
    """The cards in the catalog. Workers publish and withdraw them; the API reads them."""

    def __init__(self, redis: Redis, *, live_ttl: float) -> None:
        self._redis = redis
        self._ttl_ms = int(live_ttl * 1000)

    async def publish(
        self, cards: Sequence[AgentCard], *, also_in_file: Iterable[str] = ()
    ) -> None:
        """Publish or renew the cards of these agents.

        `also_in_file` names agents of the agent file. Those that other workers have published are
        renewed: this worker may not serve their queues, but they were not removed.
        """
        texts = dict.fromkeys(also_in_file, "")
        texts |= {card.name: card.model_dump_json() for card in cards}
        pairs = [text for pair in texts.items() for text in pair]
        await _publish(
            self._redis,
            catalog=keys.AGENTS,
            max_age_ms=KEPT_SECONDS * 1000,
            ttl_ms=self._ttl_ms,
            names_and_cards=pairs,
        )

    async def withdraw(self, names: Iterable[str]) -> None:
        """Remove agents that were removed from the agent file."""
        await self._redis.execute_command("HDEL", keys.AGENTS, *names)

    async def read(self) -> list[AgentCard]:
        """Return all cards, without those of a newer version that this process cannot parse."""
        fields: dict[bytes, bytes] = await self._redis.execute_command("HGETALL", keys.AGENTS)
        published = [(_time(value), _card(value.partition(b" ")[2])) for value in fields.values()]
        newest = max((time for time, _ in published), default=0)
        return [
            card
            for time, card in published
            if card and not (card.from_file and time < newest - _REMOVED_MS)
        ]

    async def queues(self, settings: Settings) -> set[str]:
        """Return the names of all queues of agents and of the settings."""
        named = {*settings.models.queues.values(), *settings.worker.queues}
        return named | {card.queue for card in await self.read()}


def _time(value: bytes) -> int:
    time = value.partition(b" ")[0]
    return whole_number(time) or 0


def _card(text: bytes) -> AgentCard | None:
    try:
        return AgentCard.model_validate_json(text)
    except ValidationError:
        return None


# Publishes cards and removes those that were not published again for `max_age_ms`.
# A field's value is `<time> <card>`. A card without text keeps the one that is known.
@redis_script("""
local now = now_ms()
local known = redis.call('HGETALL', catalog)
for i = 1, #known, 2 do
  local published_at = tonumber(string.match(known[i + 1], '^%d+')) or 0
  if published_at < now - max_age_ms then redis.call('HDEL', catalog, known[i]) end
end
for i = 1, #names_and_cards, 2 do
  local name, card = names_and_cards[i], names_and_cards[i + 1]
  if card == '' then
    card = string.match(redis.call('HGET', catalog, name) or '', '^%d+ (.*)$')
  end
  if card then redis.call('HSET', catalog, name, string.format('%d', now) .. ' ' .. card) end
end
redis.call('PEXPIRE', catalog, ttl_ms)
""")
def _publish(*, catalog: Key, max_age_ms: int, ttl_ms: int, names_and_cards: Arguments) -> None: ...
