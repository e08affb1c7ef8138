"""The runs of each chat."""

from collections.abc import Iterable

from shared.limits.owner_bytes import OWNER_BYTES
from shared.redis import keys
from shared.redis.client import Redis
from shared.redis.scripts import Arguments, Key, redis_script


class ChatIndex:
    """Finds the runs of a chat. Admission writes the index, on the queue's server."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def newest_run(self, owner: str, chat_id: str) -> str | None:
        """Return the id of the chat's newest run."""
        run_id: bytes | None = await self._redis.execute_command("GET", keys.chat(owner, chat_id))
        return run_id.decode() if run_id else None

    async def runs(self, owner: str, chat_id: str) -> list[str]:
        """Return the ids of the chat's runs, newest first. Some may no longer be stored."""
        ids: list[bytes] = await self._redis.execute_command(
            "ZRANGE", keys.chat_runs(owner, chat_id), 0, -1, "REV"
        )
        return [run_id.decode() for run_id in ids]

    async def in_order(self, owner: str, chat_id: str) -> list[str]:
        """Return the ids of the live run and of those that wait for it, in order.

        The first may have just ended.
        """
        entries: list[bytes] = await self._redis.execute_command(
            "LRANGE", keys.chat_queue(owner, chat_id), 0, -1
        )
        return [entry.decode().partition(" ")[0] for entry in entries]

    async def remove(self, owner: str, chat_id: str, run_ids: Iterable[str]) -> None:
        """Remove runs from the index, from the lists of ended runs, and from the owner's bytes.

        Their webhooks are no longer sent.
        """
        await _remove(
            self._redis,
            chat=keys.chat(owner, chat_id),
            chat_runs=keys.chat_runs(owner, chat_id),
            ended_runs=keys.ENDED_RUNS,
            failed_runs=keys.FAILED_RUNS,
            owner_bytes=keys.owner_bytes(owner),
            owner_stored=keys.owner_stored(owner),
            webhook_runs=keys.WEBHOOK_RUNS,
            webhook_bytes=keys.WEBHOOK_BYTES,
            webhook_stored=keys.WEBHOOK_STORED,
            webhook_pattern=keys.webhook("%s"),
            run_ids=[*run_ids],
        )


# A run that was admitted meanwhile stays.
@redis_script(
    OWNER_BYTES,
    """
local newest = redis.call('GET', chat)
for _, id in ipairs(run_ids) do
  if newest == id then redis.call('DEL', chat) end
  redis.call('ZREM', chat_runs, id)
  redis.call('ZREM', ended_runs, id)
  redis.call('LREM', failed_runs, 0, id)
  redis.call('ZREM', webhook_runs, id)
  redis.call('DEL', string.format(webhook_pattern, id))
  if redis.call('HEXISTS', webhook_bytes, id) == 1 then
    set_bytes(webhook_bytes, webhook_stored, id, 0)
  end
  if redis.call('HEXISTS', owner_bytes, id) == 1 then
    set_bytes(owner_bytes, owner_stored, id, 0)
    expire_with_runs(owner_bytes, owner_stored, now_ms())
  end
end
""",
)
def _remove(
    *,
    chat: Key,
    chat_runs: Key,
    ended_runs: Key,
    failed_runs: Key,
    owner_bytes: Key,
    owner_stored: Key,
    webhook_runs: Key,
    webhook_bytes: Key,
    webhook_stored: Key,
    webhook_pattern: str,
    run_ids: Arguments,
) -> None: ...
