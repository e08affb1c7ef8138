"""The scripts that write to logs: each looks at the last entry, and keeps the run in step."""

from shared.redis.client import RedisScript

#: `tail` returns the log's attempt, its last offset and whether it is closed. A fence, whose own
#: offset is 0, carries the offset that it follows.
_TAIL = """
local function tail(log)
  local last = redis.call('XREVRANGE', log, '+', '-', 'COUNT', 1)[1]
  if not last then return 0, 0, false end
  local attempt, offset = string.match(last[1], '(%d+)-(%d+)')
  if offset == '0' then offset = last[2][2] end
  return tonumber(attempt), tonumber(offset), last[2][2] == '[DONE]'
end
local function count(run, field)
  return tonumber(redis.call('HGET', run, field) or '0')
end
local function now()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
"""

#: KEYS log, run; ARGV attempt, first offset, TTL, state to end in or '', error or '', entries.
#: Publishes what is new as lines `<id> <event>` on the channel named as the log.
APPEND = RedisScript(
    _TAIL
    + """
local attempt, first = tonumber(ARGV[1]), tonumber(ARGV[2])
local at, offset, closed = tail(KEYS[1])
if at > attempt then return 'fenced' end
if at < attempt or first > offset + 1 then return 'gap' end
local head = 6
if closed and first + #ARGV - head > offset then return 'closed' end
local lines = {}
for i = offset + 1 - first + head, #ARGV do
  local id = attempt .. '-' .. string.format('%d', first + i - head)
  redis.call('XADD', KEYS[1], id, 'd', ARGV[i])
  lines[#lines + 1] = id .. ' ' .. ARGV[i]
end
local cancelled = count(KEYS[2], 'cancel') > 0 and 1 or 0
if #lines == 0 then return cancelled end
if ARGV[4] ~= '' then
  redis.call('HSET', KEYS[2], 'state', ARGV[4], 'ended_at', string.format('%d', now()))
  if ARGV[5] ~= '' then redis.call('HSET', KEYS[2], 'error', ARGV[5]) end
  local ended = redis.call('HMGET', KEYS[2], 'live_runs', 'id')
  if ended[1] then redis.call('ZREM', ended[1], ended[2]) end
end
redis.call('PEXPIRE', KEYS[1], ARGV[3])
redis.call('PEXPIRE', KEYS[2], ARGV[3])
redis.call('PUBLISH', KEYS[1], table.concat(lines, '\\n'))
return cancelled
"""
)

#: The same where a channel belongs to the node that has its slot.
APPEND_SHARDED = RedisScript(APPEND.text.replace("'PUBLISH'", "'SPUBLISH'"))

#: KEYS log, run; ARGV TTL, nonce. Nothing if the run has ended or is unknown. Called again with the
#: same nonce, it is the same attempt.
TAKE_OVER = RedisScript(
    _TAIL
    + """
local state = redis.call('HGET', KEYS[2], 'state')
if state ~= 'queued' and state ~= 'running' then return false end
local _, offset = tail(KEYS[1])
local attempt = count(KEYS[2], 'attempts')
local time = now()
if redis.call('HGET', KEYS[2], 'taken_by') ~= ARGV[2] then
  attempt = redis.call('HINCRBY', KEYS[2], 'attempts', 1)
  redis.call('XADD', KEYS[1], attempt .. '-0', 'd', string.format('%d', offset))
  redis.call('HSET', KEYS[2], 'state', 'running', 'taken_by', ARGV[2])
end
redis.call('HSETNX', KEYS[2], 'started_at', string.format('%d', time))
redis.call('PEXPIRE', KEYS[1], ARGV[1])
redis.call('PEXPIRE', KEYS[2], ARGV[1])
local started = count(KEYS[2], 'started_at')
local let_in = redis.call('HGET', KEYS[2], 'let_in_at') or started
return {attempt, offset, count(KEYS[2], 'cancel'), time - started,
  count(KEYS[2], 'failures'), count(KEYS[2], 'handovers'), started - let_in,
  redis.call('HGET', KEYS[2], 'queue'), redis.call('HGET', KEYS[2], 'supersedes') or ''}
"""
)
