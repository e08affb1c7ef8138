"""Wakeup tokens: each one wakes an idle worker of its queue."""

#: Lua that pushes a token, unless the queue has so many that all of its workers are busy anyway.
#: The queue's tokens last at least for the job's TTL, or for a minute if it is omitted.
PUSH_WAKEUP = """
local function push_wakeup(wakeup, ttl_ms)
  if redis.call('LLEN', wakeup) < 1000 then redis.call('LPUSH', wakeup, '1') end
  keep(wakeup, ttl_ms or 60000)
end
"""
