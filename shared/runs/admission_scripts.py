"""The scripts that let runs in. Both decide alike; they differ in how they know of runs.

A live run whose closing was missed is found among the oldest, which ended ones become in time.
"""

from shared.redis.client import RedisScript

#: KEYS chat, mark of a run that was let in, job, queue, wake, rate, live runs, idempotency (if
#: there is a key).
#: ARGV run, job, TTL, wake cap, milliseconds to wait for a superseded run (0: none may be),
#: fingerprint or '', the runs that it continues, runs a minute, burst, live runs, depth; then the
#: script's own.
#: Returns verdict, run, superseded run or '', and a number: what is spent of the rate in µs, or the
#: age of the oldest in ms. Times are Redis' own: clients' clocks differ.
#: The rate is a token bucket, kept as the time at which it is full again (GCRA).
_HEAD = """
local ttl = tonumber(ARGV[3])
local time = redis.call('TIME')
local micros = time[1] * 1000000 + time[2]
local now = math.floor(micros / 1000)
local interval = ARGV[8] == '0' and 0 or 60000000 / ARGV[8]
local full = tonumber(redis.call('GET', KEYS[6]) or '0')
local spent = math.max(0, math.min(full - micros, interval * ARGV[9]))
local superseded = ''
"""

#: What it needs of its prelude: `kept`, `live` and `ended` of a run; `supersedes`, the one that
#: this run was let in for; `record`, which makes the run.
_DECIDE = """
local function admitted(id, other)
  return {'admitted', id, other, math.ceil(spent)}
end

local function count()
  local others = redis.call('ZCARD', KEYS[7])
  if superseded ~= '' and redis.call('ZSCORE', KEYS[7], superseded) then others = others - 1 end
  return others
end

local function refusal()
  if redis.call('EXISTS', KEYS[2]) == 1 then return admitted(ARGV[1], supersedes()) end
  if KEYS[8] then
    local used = redis.call('HMGET', KEYS[8], 'run', 'fingerprint')
    if used[1] and kept(used[1]) then
      if used[2] ~= ARGV[6] then return {'mismatch', '', '', 0} end
      return admitted(used[1], '')
    end
  end

  local newest = redis.call('GET', KEYS[1])
  local continued = string.match(ARGV[7], '%S+$')
  if continued and newest ~= continued then
    return {newest and live(newest) and 'occupied' or 'overtaken', newest or '', '', 0}
  end
  superseded = newest and live(newest) and newest or ''
  if superseded ~= '' and ARGV[5] == '0' then return {'occupied', superseded, '', 0} end

  if interval > 0 and spent > interval * (ARGV[9] - 1) + 1 then
    return {'rate', '', '', math.ceil(spent)}
  end

  local most = tonumber(ARGV[10])
  if most > 0 and count() >= most then
    for _, id in ipairs(redis.call('ZRANGE', KEYS[7], 0, 15)) do
      if ended(id) then redis.call('ZREM', KEYS[7], id) end
    end
    if count() >= most then
      local oldest = redis.call('ZRANGE', KEYS[7], 0, 0, 'WITHSCORES')
      return {'runs', '', '', now - oldest[2]}
    end
  end

  local depth = tonumber(ARGV[11])
  if depth > 0 and redis.call('ZCOUNT', KEYS[4], '-inf', now) >= depth then
    local oldest = redis.call('ZRANGE', KEYS[4], 0, 0, 'WITHSCORES')
    return {'queue', '', '', now - oldest[2]}
  end
end

local function enter()
  local due = now
  record()
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ttl)
  redis.call('SET', KEYS[3], ARGV[2], 'PX', ttl)
  if superseded ~= '' then
    due = now + ARGV[5]
  elseif redis.call('LLEN', KEYS[5]) < tonumber(ARGV[4]) then
    redis.call('LPUSH', KEYS[5], '1')
  end
  redis.call('ZADD', KEYS[4], due, ARGV[1])
  redis.call('ZREMRANGEBYSCORE', KEYS[7], '-inf', now - ttl)
  redis.call('ZADD', KEYS[7], now, ARGV[1])
  if interval > 0 then
    spent = spent + interval
    redis.call('SET', KEYS[6], string.format('%.0f', micros + spent), 'PX', math.ceil(spent / 1000))
  end
  if KEYS[8] then
    redis.call('HSET', KEYS[8], 'run', ARGV[1], 'fingerprint', ARGV[6])
    redis.call('PEXPIRE', KEYS[8], ttl)
  end
  for _, key in ipairs({KEYS[4], KEYS[5], KEYS[7]}) do redis.call('PEXPIRE', key, ttl) end
  return admitted(ARGV[1], superseded)
end
"""

#: One server has all: the runs' own hashes tell. The mark is the run's hash.
#: ARGV a run's key and its log's as formats, the run's fields.
ADMIT = RedisScript(
    _HEAD
    + """
local function field(id, name)
  return redis.call('HGET', string.format(ARGV[12], id), name) or ''
end
local function live(id)
  local state = field(id, 'state')
  return state == 'queued' or state == 'running'
end
local function ended(id) return not live(id) end
local function kept(id) return redis.call('EXISTS', string.format(ARGV[12], id)) == 1 end
local function supersedes() return field(ARGV[1], 'supersedes') end
local function record()
  redis.call('HSET', KEYS[2], 'live_runs', KEYS[7], 'let_in_at', string.format('%d', now),
    unpack(ARGV, 14))
  if superseded ~= '' then
    redis.call('HSET', KEYS[2], 'supersedes', superseded)
    redis.call('HINCRBY', string.format(ARGV[12], superseded), 'cancel', 1)
  end
  redis.call('PEXPIRE', KEYS[2], ttl)
  for id in string.gmatch(ARGV[7], '%S+') do
    redis.call('PEXPIRE', string.format(ARGV[12], id), ttl)
    redis.call('PEXPIRE', string.format(ARGV[13], id), ttl)
  end
end
"""
    + _DECIDE
    + """
return refusal() or enter()
"""
)

#: The runs are elsewhere: what is known of them is told, and what is not is asked for. The mark is
#: a string of its own, for as long as a call whose reply was lost may come again; it holds the run
#: that is superseded. A run whose job is gone is not live, though its end was not told here.
#: ARGV what is known as `<run>=<live | ended | gone>`, whether this run is made, the one that it
#: says to supersede, a job's key as a format, the mark's TTL.
#: Two more verdicts: `look` and `make`, with the runs to look at, and the one to be superseded.
ADMIT_APART = RedisScript(
    _HEAD
    + """
local known, unknown = {}, {}
for id, state in string.gmatch(ARGV[12], '(%S+)=(%a+)') do known[id] = state end
local function state(id)
  if not known[id] then unknown[#unknown + 1] = id end
  return known[id]
end
local function live(id) return state(id) == 'live' end
local function ended(id) return (state(id) or 'live') ~= 'live' end
local function kept(id) return (state(id) or 'gone') ~= 'gone' end
local function supersedes() return redis.call('GET', KEYS[2]) end
local function record()
  redis.call('SET', KEYS[2], superseded, 'PX', ARGV[16])
  for _, id in ipairs(redis.call('ZRANGE', KEYS[7], 0, 15)) do
    local job = string.format(ARGV[15], id)
    if redis.call('EXISTS', job) == 0 then redis.call('ZREM', KEYS[7], id) end
  end
end
"""
    + _DECIDE
    + """
local refused = refusal()
if #unknown > 0 then
  return {refused and 'look' or 'make', table.concat(unknown, ' '), '', 0}
end
if refused then return refused end
if ARGV[13] == '0' or (superseded ~= '' and superseded ~= ARGV[14]) then
  return {'make', '', superseded, 0}
end
return enter()
"""
)
