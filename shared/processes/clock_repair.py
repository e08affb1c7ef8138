"""Corrects times that the clock of Redis has left in the future, after it was set back.

Due times, leases and registrations are points in time of that clock. After it was set back, or
after a failover to a server whose clock is behind, released jobs and webhooks would become due, and
the leases of dead workers would expire, only when the clock has caught up. A clock that was set
forward needs no correction: leases expire early, and the fence of the next attempt stops the
earlier one.
"""

from shared.redis import keys

#: A clock that was set back by less than this is left to catch up.
MIN_SET_BACK_MS = 10_000

#: Lua that returns by how much the clock was set back, in milliseconds, and corrects all times if
#: it was. A process is alive for at most `alive_ms` from now, so a later time in `members` is from
#: before. The correction includes `members`, so only one call makes it.
CLOCK_REPAIR = f"""
local function clock_set_back(members, now, alive_ms)
  local last = tonumber(redis.call('ZRANGE', members, -1, -1, 'WITHSCORES')[2] or now)
  local set_back = last - alive_ms - now
  return set_back >= {MIN_SET_BACK_MS} and set_back or 0
end

local function limit_scores(zset, now, maximum)
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', zset, '(' .. maximum, '+inf')) do
    redis.call('ZADD', zset, maximum, id)
  end
end

-- A lease that was renewed since then is shorter than the difference.
local function repair_job(queue, id, due, now, set_back)
  local lease = '{keys.lease("")}' .. id
  local left = redis.call('PTTL', lease)
  if left > set_back then
    left = left - set_back
    redis.call('PEXPIRE', lease, left)
  end
  local early = math.max(now, due - set_back)
  redis.call('ZADD', queue, left > 0 and now + left or early, id)
end

local function repair_queue(queue, now, set_back)
  local later = redis.call('ZRANGEBYSCORE', queue, '(' .. now, '+inf', 'WITHSCORES')
  for i = 1, #later, 2 do repair_job(queue, later[i], tonumber(later[i + 1]), now, set_back) end
end

-- The destinations are those of the stored webhooks.
local function repair_webhooks(now, set_back)
  local due_keys = {{}}
  for _, id in ipairs(redis.call('ZRANGE', '{keys.WEBHOOK_STORED}', 0, -1)) do
    for _, field in ipairs(redis.call('HKEYS', '{keys.webhook("")}' .. id)) do
      local destination = string.match(field, '^since:(.+)$')
      if destination then due_keys['{keys.webhook_due("")}' .. destination] = true end
    end
  end
  for due_key in pairs(due_keys) do
    local later = redis.call('ZRANGEBYSCORE', due_key, '(' .. now, '+inf', 'WITHSCORES')
    for i = 1, #later, 2 do
      redis.call('ZADD', due_key, math.max(now, tonumber(later[i + 1]) - set_back), later[i])
    end
  end
end

local function repair_clock(members, now, alive_ms)
  local set_back = clock_set_back(members, now, alive_ms)
  if set_back == 0 then return 0 end
  for _, registry in ipairs({{'{keys.WORKERS}', '{keys.API_PROCESSES}'}}) do
    limit_scores(registry, now, now + alive_ms)
  end
  repair_queue('{keys.QUEUE}', now, set_back)
  for _, name in ipairs(redis.call('ZRANGE', '{keys.QUEUES}', 0, -1)) do
    if name ~= '{keys.MAIN_QUEUE}' then
      repair_queue('{keys.queue("")}' .. name, now, set_back)
    end
  end
  repair_webhooks(now, set_back)
  return set_back
end
"""
