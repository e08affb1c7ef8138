"""The catalog of agents, published by workers and read by the API.

An agent without workers, for example during a rollout, stays in the catalog for a while, and its
runs wait.
"""

from collections.abc import Sequence

from pydantic import ValidationError

from shared.agents.agent_card import AgentCard
from shared.redis import keys
from shared.redis.client import Redis
from shared.redis.scripts import Arguments, Key, redis_script
from shared.settings import Settings

#: How long an agent stays in the catalog after its last publication.
KEPT_SECONDS = 600


class AgentCatalog:
    def __init__(self, redis: Redis, *, live_ttl: float) -> None:
        self._redis = redis
        self._ttl_ms = int(live_ttl * 1000)

    async def publish(self, cards: Sequence[AgentCard]) -> None:
        """Publish or renew the cards of these agents."""
        pairs = [text for card in cards for text in (card.name, card.model_dump_json())]
        await _publish(
            self._redis,
            catalog=keys.AGENTS,
            max_age_ms=KEPT_SECONDS * 1000,
            ttl_ms=self._ttl_ms,
            names_and_cards=pairs,
        )

    async def read(self) -> list[AgentCard]:
        """Return all cards, without those of a newer version that this process cannot parse."""
        fields: dict[bytes, bytes] = await self._redis.execute_command("HGETALL", keys.AGENTS)
        cards = (_card(value.partition(b" ")[2]) for value in fields.values())
        return [card for card in cards if card is not None]

    async def queues(self, settings: Settings) -> set[str]:
        """Return the names of all queues of agents and of the settings."""
        named = {*settings.models.queues.values(), *settings.worker.queues}
        return named | {card.queue for card in await self.read()}


def _card(text: bytes) -> AgentCard | None:
    try:
        return AgentCard.model_validate_json(text)
    except ValidationError:
        return None


# Publishes cards and removes those that were not published again for `max_age_ms`.
# A field's value is `<time> <card>`.
@redis_script("""
local now = now_ms()
local known = redis.call('HGETALL', catalog)
for i = 1, #known, 2 do
  local published_at = tonumber(string.match(known[i + 1], '^%d+')) or 0
  if published_at < now - max_age_ms then redis.call('HDEL', catalog, known[i]) end
end
for i = 1, #names_and_cards, 2 do
  local value = string.format('%d', now) .. ' ' .. names_and_cards[i + 1]
  redis.call('HSET', catalog, names_and_cards[i], value)
end
redis.call('PEXPIRE', catalog, ttl_ms)
""")
def _publish(*, catalog: Key, max_age_ms: int, ttl_ms: int, names_and_cards: Arguments) -> None: ...
