"""The reservations of an owner's running model requests, in Redis."""

#: Lua that keeps reservations. `reserved` is a hash of run IDs, and of the totals `tokens` and
#: `cost`; `reservations` is a sorted set of the same IDs by expiry.
RESERVATIONS = """
local function amount_in(hash, field)
  local tokens, cost = string.match(redis.call('HGET', hash, field) or '', '(%d+) (%d+)')
  return tonumber(tokens or '0'), tonumber(cost or '0')
end
local function amount_text(tokens, cost) return string.format('%d %d', tokens, cost) end
local function set_reservation(id, tokens, cost, expiry)
  local old_tokens, old_cost = amount_in(reserved, id)
  redis.call('HINCRBY', reserved, 'tokens', string.format('%d', tokens - old_tokens))
  redis.call('HINCRBY', reserved, 'cost', string.format('%d', cost - old_cost))
  if tokens > 0 or cost > 0 then
    redis.call('HSET', reserved, id, amount_text(tokens, cost))
    redis.call('ZADD', reservations, expiry, id)
    return
  end
  redis.call('HDEL', reserved, id)
  redis.call('ZREM', reservations, id)
  if redis.call('EXISTS', reservations) == 0 then redis.call('DEL', reserved) end
end
local function total_reserved(now)
  local expired = redis.call('ZRANGE', reservations, '-inf', now, 'BYSCORE', 'LIMIT', 0, 1000)
  for _, id in ipairs(expired) do set_reservation(id, 0, 0) end
  local totals = redis.call('HMGET', reserved, 'tokens', 'cost')
  return tonumber(totals[1] or '0'), tonumber(totals[2] or '0')
end
"""
