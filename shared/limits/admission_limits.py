"""Lua that checks the limits of an owner and of the server when a run is admitted.

An owner's set of live runs may contain ended runs whose removal was missed. Such a run becomes one
of the oldest members, and the script checks the 16 oldest.
"""

from shared.limits.budgets import BUDGETS
from shared.limits.owner_bytes import OWNER_BYTES
from shared.limits.rate_limit import RATE_BUCKET

#: Lua functions that `CHECK_LIMITS` requires.
LIMIT_FUNCTIONS = RATE_BUCKET + OWNER_BYTES

#: Lua that returns the refusal of the first limit that the run exceeds. Requires the parameters of
#: the admission, the times `now_micros` and `now`, the microseconds `interval` and `spent` of the
#: rate, the runs that this one supersedes (`superseded`), and functions: `has_ended` looks up a
#: run, and `FAIR_QUEUE`. Sets `usage`, the report of the owner's usage, and `used_bytes`.
#:
#: INFO takes longer than the rest of a check, so its result is valid for 100 ms, except for large
#: payloads. Some hosted servers do not permit it. Background jobs do not use up the depth of
#: interactive ones. Functions that few admissions use are defined where they are used.
CHECK_LIMITS = f"""
if interval > 0 and is_empty(spent, interval, burst) then
  return {{'rate', '', '', math.ceil(spent)}}
end
if budget ~= '' then
  {BUDGETS}
  local seconds = math.floor(now / 1000)
  local periods = periods_at(seconds)
  local used = used_in(owner_usage, periods)
  usage = usage_report(seconds, periods, used)
  local number = used_up(split_limits(budget), used, 0, 0)
  if number then return {{'budget', '', '', number, usage}} end
end
if max_live_runs > 0 then
  local function count_live()
    local count = redis.call('ZCARD', live_runs)
    for id in string.gmatch(superseded, '%S+') do
      if redis.call('ZSCORE', live_runs, id) then count = count - 1 end
    end
    return count
  end
  if count_live() >= max_live_runs then
    for _, id in ipairs(redis.call('ZRANGE', live_runs, 0, 15)) do
      if has_ended(id) then redis.call('ZREM', live_runs, id) end
    end
    if count_live() >= max_live_runs then
      local oldest = redis.call('ZRANGE', live_runs, 0, 0, 'WITHSCORES')[2]
      return {{'runs', '', '', now - oldest, usage}}
    end
  end
end
if max_owner_bytes > 0 then
  used_bytes = total_bytes(owner_bytes, owner_stored, now)
  if used_bytes + run_bytes > max_owner_bytes then
    local first = redis.call('ZRANGE', owner_stored, 0, 0, 'WITHSCORES')[2]
    return {{'bytes', '', '', math.max(0, (first or now) - now), usage}}
  end
end
if max_queue_depth > 0 then
  local waiting = redis.call('ZCOUNT', queue, '-inf', now)
  if waiting >= max_queue_depth and class_of(fair_owner) == 0 then
    waiting = waiting - redis.call('ZCOUNT', queue, first_background, '(' .. first_real)
  end
  if waiting >= max_queue_depth then
    return {{'queue', '', '', now - oldest_due(queue, now), usage}}
  end
end
if max_memory_share > 0
    and (#payload >= 65536 or redis.call('EXISTS', memory_checked) == 0) then
  local info = redis.pcall('INFO', 'memory')
  if type(info) == 'string' then
    local used = tonumber(string.match(info, 'used_memory:(%d+)') or '0')
    local limit = tonumber(string.match(info, 'maxmemory:(%d+)') or '0')
    if limit > 0 and used + #payload > limit * max_memory_share then
      return {{'memory', '', '', 0, usage}}
    end
    redis.call('SET', memory_checked, '1', 'PX', 100)
  end
end
"""
