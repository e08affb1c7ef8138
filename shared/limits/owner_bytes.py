"""The bytes that an owner's runs occupy in Redis, on the queue's server.

Each run counts from its admission until it is erased or expires: its job while it is live, and its
stream after its end. The stream of a live run is not counted. A run whose end was not recorded
counts until its TTL.
"""

#: Lua that counts the bytes of runs. `bytes` is a hash of run IDs, and `total`; `stored` is a
#: sorted set of the same IDs by expiry. Without runs, the total starts again at 0.
OWNER_BYTES = """
local function set_bytes(bytes, stored, id, count, expiry)
  redis.call('HINCRBY', bytes, 'total', count - (redis.call('HGET', bytes, id) or 0))
  if count > 0 then
    redis.call('HSET', bytes, id, string.format('%d', count))
    redis.call('ZADD', stored, expiry, id)
    return
  end
  redis.call('HDEL', bytes, id)
  redis.call('ZREM', stored, id)
  if redis.call('EXISTS', stored) == 0 then redis.call('DEL', bytes) end
end
local function expire_with_runs(bytes, stored, now)
  local last = redis.call('ZRANGE', stored, -1, -1, 'WITHSCORES')[2]
  if not last then return end
  for _, key in ipairs({bytes, stored}) do
    redis.call('PEXPIRE', key, string.format('%d', math.max(1, last - now)))
  end
end
local function total_bytes(bytes, stored, now)
  local total = redis.call('HGET', bytes, 'total')
  if not total then return 0 end
  local expired = redis.call('ZRANGE', stored, '-inf', now, 'BYSCORE', 'LIMIT', 0, 1000)
  if #expired == 0 then return tonumber(total) end
  for _, id in ipairs(expired) do set_bytes(bytes, stored, id, 0) end
  return tonumber(redis.call('HGET', bytes, 'total') or '0')
end
"""

#: What a run occupies besides its job and its stream: its hash, and its entries in other keys.
RUN_BYTES = 2048
