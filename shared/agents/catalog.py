"""Which agents the workers offer: published by each of them, read by the API.

An agent whose workers are all away, as in a roll-out, is kept for a while: its runs wait for them.
"""

from collections.abc import Sequence

from pydantic import ValidationError

from shared.agents.card import AgentCard
from shared.redis import keys
from shared.redis.client import Redis, RedisScript
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
        args = [KEPT_SECONDS * 1000, self._ttl_ms, *pairs]
        await _PUBLISH.run(self._redis, [keys.AGENTS], args)

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


#: KEYS catalogue; ARGV age to forget at, TTL, then names and cards. A field is `<time> <card>`.
_PUBLISH = RedisScript("""
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local known = redis.call('HGETALL', KEYS[1])
for i = 1, #known, 2 do
  local said = tonumber(string.match(known[i + 1], '^%d+')) or 0
  if said < now - ARGV[1] then redis.call('HDEL', KEYS[1], known[i]) end
end
for i = 3, #ARGV, 2 do
  redis.call('HSET', KEYS[1], ARGV[i], string.format('%d', now) .. ' ' .. ARGV[i + 1])
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
""")
