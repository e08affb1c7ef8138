"""Wakeup tokens: each one wakes an idle worker of its queue."""

#: Lua that pushes a token, unless the queue has so many that all of its workers are busy anyway.
#: The queue's tokens last at least for the job's TTL, or for a minute if it is omitted.
PUSH_WAKEUP = """
local function push_wakeup(wakeup, ttl_ms)
  local tokens = redis.call('LLEN', wakeup)
  if tokens >= 1000 then return end
  redis.call('LPUSH', wakeup, '1')
  if tokens == 0 then redis.call('PEXPIRE', wakeup, ttl_ms or 60000)
  else keep(wakeup, ttl_ms or 60000) end
end
"""
