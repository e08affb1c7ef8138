"""The check that tests leave no key without a TTL."""

from shared.redis.client import Redis


async def check_that_keys_expire(redis: Redis) -> None:
    names: list[bytes] = await redis.execute_command("KEYS", "*")
    without_ttl = [name for name in names if await redis.execute_command("PTTL", name) == -1]
    assert not without_ttl, f"keys without a TTL: {without_ttl}"
