"""Wakeup tokens: each one wakes an idle worker of its queue."""

#: Lua that pushes a token. Tokens that no worker has taken expire after a minute.
PUSH_WAKEUP = """
local function push_wakeup(wakeup)
  redis.call('LPUSH', wakeup, '1')
  redis.call('PEXPIRE', wakeup, 60000)
end
"""
