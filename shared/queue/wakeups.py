"""Wakeup tokens: each one wakes an idle worker of its queue."""

#: Lua that pushes a token. The queue's tokens expire a minute after this push, or after the next
#: admission's or title's TTL.
PUSH_WAKEUP = """
local function push_wakeup(wakeup)
  redis.call('LPUSH', wakeup, '1')
  redis.call('PEXPIRE', wakeup, 60000)
end
"""
