"""The scripts of the webhook store, all on the queue's server.

`webhook` is the hash of a run's webhook. It holds the event, the number of destinations that have
not received it (`open`), and for each of these when its attempts began (`since:<name>`), how many
failed (`attempts:<name>`), and the result of the last one (`result:<name>`).
"""

from shared.limits.owner_bytes import OWNER_BYTES
from shared.redis.scripts import Arguments, Key, Keys, redis_script


# Returns the runs to check, and postpones their next check. A check is at most `check_ms` ahead,
# unless the clock was set back.
@redis_script(
    """
local now = now_ms()
local latest = string.format('%d', now + check_ms)
for _, id in ipairs(redis.call('ZRANGE', runs, '(' .. latest, '+inf', 'BYSCORE')) do
  redis.call('ZADD', runs, now, id)
end
local due = redis.call('ZRANGE', runs, '-inf', now, 'BYSCORE', 'LIMIT', 0, count)
for _, id in ipairs(due) do redis.call('ZADD', runs, latest, id) end
if #due > 0 then keep(runs, ttl_ms) end
return due
""",
    when_full=True,
)
def claim_runs(*, runs: Key, check_ms: int, count: int, ttl_ms: int) -> list[bytes]: ...


# Stores the webhook of an ended run and makes it due for each destination. Above half of the bytes,
# it stores `short` instead of `event`. A stored webhook stays unchanged. A run that is no longer
# listed was erased or reported meanwhile. Returns which it stored.
@redis_script(
    OWNER_BYTES,
    """
local now = now_ms()
if not redis.call('ZSCORE', runs, run_id) then return 'known' end
if redis.call('EXISTS', webhook) == 1 then
  redis.call('ZREM', runs, run_id)
  return 'known'
end
local used, text, stored_form = total_bytes(stored_bytes, stored_runs, now), event, 'whole'
if used + #text > max_bytes / 2 then text, stored_form = short, 'short' end
if used + #text > max_bytes then return 'full' end
redis.call('HSET', webhook, 'event', text, 'type', event_type, 'open', #destinations,
  'ended_at', ended_at)
for i, name in ipairs(destinations) do
  redis.call('HSET', webhook, 'since:' .. name, string.format('%d', now))
  redis.call('ZADD', due[i], now, run_id)
  keep(due[i], ttl_ms)
end
redis.call('PEXPIRE', webhook, ttl_ms)
set_bytes(stored_bytes, stored_runs, run_id, #text, now + ttl_ms)
expire_with_runs(stored_bytes, stored_runs, now)
redis.call('ZREM', runs, run_id)
return stored_form
""",
    when_full=True,
)
def store(
    *,
    webhook: Key,
    runs: Key,
    stored_bytes: Key,
    stored_runs: Key,
    due: Keys,
    run_id: str,
    event_type: str,
    event: bytes,
    short: bytes,
    ended_at: int,
    max_bytes: int,
    ttl_ms: int,
    destinations: Arguments,
) -> bytes: ...


# Returns each webhook that is due, and leases it: the id, the event, the failed attempts, when they
# began, and the time since then. Webhooks that have expired or were erased are removed.
@redis_script(
    """
local now, claimed = now_ms(), {}
for _, id in ipairs(redis.call('ZRANGE', due, '-inf', now, 'BYSCORE', 'LIMIT', 0, count)) do
  local names = {'event', 'attempts:' .. destination, 'since:' .. destination}
  local found = redis.call('HMGET', string.format(webhook_pattern, id), unpack(names))
  if found[1] and found[3] then
    redis.call('ZADD', due, now + lease_ms, id)
    local since = tonumber(found[3])
    claimed[#claimed + 1] = {id, found[1], tonumber(found[2] or 0), since, now - since}
  else
    redis.call('ZREM', due, id)
  end
end
if #claimed > 0 then keep(due, ttl_ms) end
return claimed
""",
    when_full=True,
)
def claim(
    *, due: Key, destination: str, webhook_pattern: str, count: int, lease_ms: int, ttl_ms: int
) -> list[tuple[bytes, bytes, int, int, int]]: ...


# Records a delivery. The webhook is deleted after the last one.
@redis_script(
    OWNER_BYTES,
    """
redis.call('ZREM', due, run_id)
redis.call('ZREM', failed, run_id)
local fields = {'since:' .. destination, 'attempts:' .. destination, 'result:' .. destination}
if redis.call('HDEL', webhook, unpack(fields)) == 0 then return end
if redis.call('HINCRBY', webhook, 'open', -1) > 0 then return end
redis.call('DEL', webhook)
if redis.call('HEXISTS', stored_bytes, run_id) == 1 then
  set_bytes(stored_bytes, stored_runs, run_id, 0)
  expire_with_runs(stored_bytes, stored_runs, now_ms())
end
""",
    when_full=True,
)
def delivered(
    *,
    webhook: Key,
    due: Key,
    failed: Key,
    stored_bytes: Key,
    stored_runs: Key,
    run_id: str,
    destination: str,
) -> None: ...


# Records a failed attempt. The next one is due after `delay_ms`; -1: the webhook is given up. After
# a delivery or a resend, `since` differs, and the attempt is ignored. Returns 1 if it is recorded.
@redis_script(
    OWNER_BYTES,
    """
if tonumber(redis.call('HGET', webhook, 'since:' .. destination) or -1) ~= since then return 0 end
local now = now_ms()
redis.call('HINCRBY', webhook, 'attempts:' .. destination, 1)
redis.call('HSET', webhook, 'result:' .. destination, result)
if delay_ms >= 0 then
  redis.call('ZADD', due, 'XX', now + delay_ms, run_id)
  return 1
end
redis.call('ZREM', due, run_id)
redis.call('ZREMRANGEBYSCORE', failed, '-inf', now - ttl_ms)
redis.call('ZADD', failed, now, run_id)
keep(failed, ttl_ms)
redis.call('PEXPIRE', webhook, ttl_ms)
redis.call('ZADD', stored_runs, 'XX', now + ttl_ms, run_id)
expire_with_runs(stored_bytes, stored_runs, now)
return 1
""",
    when_full=True,
)
def attempt_failed(
    *,
    webhook: Key,
    due: Key,
    failed: Key,
    stored_bytes: Key,
    stored_runs: Key,
    run_id: str,
    destination: str,
    since: int,
    result: str,
    delay_ms: int,
    ttl_ms: int,
) -> int: ...


# Makes a webhook due now, with a new day of attempts, unless the destination has received it.
# Returns whether it is due.
@redis_script(
    OWNER_BYTES,
    """
if redis.call('HEXISTS', webhook, 'since:' .. destination) == 0 then
  redis.call('ZREM', failed, run_id)
  return 0
end
local now = now_ms()
redis.call('HSET', webhook, 'since:' .. destination, string.format('%d', now))
redis.call('HDEL', webhook, 'attempts:' .. destination)
redis.call('PEXPIRE', webhook, ttl_ms)
redis.call('ZREM', failed, run_id)
redis.call('ZADD', due, now, run_id)
keep(due, ttl_ms)
redis.call('ZADD', stored_runs, 'XX', now + ttl_ms, run_id)
expire_with_runs(stored_bytes, stored_runs, now)
return 1
""",
    when_full=True,
)
def resend(
    *,
    webhook: Key,
    due: Key,
    failed: Key,
    stored_bytes: Key,
    stored_runs: Key,
    run_id: str,
    destination: str,
    ttl_ms: int,
) -> int: ...


# Makes the check of an ended run due now, even if its webhook was delivered.
@redis_script(
    """
redis.call('ZADD', runs, now_ms(), run_id)
keep(runs, ttl_ms)
""",
)
def report_again(*, runs: Key, run_id: str, ttl_ms: int) -> None: ...
