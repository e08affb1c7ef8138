"""Which agents the workers offer: published by each of them, read by the API.

An agent whose workers are all away, as in a roll-out, is kept for a while: its runs wait for them.
"""

from collections.abc import Sequence

from pydantic import ValidationError

from shared.agents.card import AgentCard
from shared.redis import keys
from shared.redis.client import Redis
from shared.redis.scripts import Arguments, Key, redis_script
from shared.settings import Settings

#: How long the last word about an agent holds while other workers stand.
KEPT_SECONDS = 600


class AgentCatalog:
    def __init__(self, redis: Redis, *, live_ttl: float) -> None:
        self._redis = redis
        self._ttl_ms = int(live_ttl * 1000)

    async def publish(self, cards: Sequence[AgentCard]) -> None:
        """Say, or say again, that these agents are offered."""
        pairs = [text for card in cards for text in (card.name, card.model_dump_json())]
        await _publish(
            self._redis,
            catalog=keys.AGENTS,
            max_age_ms=KEPT_SECONDS * 1000,
            ttl_ms=self._ttl_ms,
            names_and_cards=pairs,
        )

    async def read(self) -> list[AgentCard]:
        """What a newer worker says, and this process cannot read, is passed over."""
        fields: dict[bytes, bytes] = await self._redis.execute_command("HGETALL", keys.AGENTS)
        cards = (_card(said.partition(b" ")[2]) for said in fields.values())
        return [card for card in cards if card is not None]

    async def queues(self, settings: Settings) -> set[str]:
        """The names of the queues that agents have, and of those that the settings name."""
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
