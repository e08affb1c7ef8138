"""The scripts that write and read streams.

Those that write check the last entry and keep the run's state in step.
"""

from typing import Any

from shared.redis.scripts import Arguments, Key, redis_script

#: `tail` returns the stream's attempt, its last offset and whether it is closed. A fence, whose own
#: offset is 0, holds the offset that it follows.
_TAIL = """
local function tail()
  local last = redis.call('XREVRANGE', stream, '+', '-', 'COUNT', 1)[1]
  if not last then return 0, 0, false end
  local attempt, offset = string.match(last[1], '(%d+)-(%d+)')
  if offset == '0' then offset = last[2][2] end
  return tonumber(attempt), tonumber(offset), last[2][2] == '[DONE]'
end
local function count(field)
  return tonumber(redis.call('HGET', run, field) or '0')
end
"""

#: `reply` returns whether a stop was requested (0 or 1), or for the end of a run its owner and the
#: bytes of its stream, 0 if the server does not permit the command.
_APPEND = """
local function reply()
  if final_state == '' then return count('stop_requests') > 0 and 1 or 0 end
  local size = redis.pcall('MEMORY', 'USAGE', stream)
  return {redis.call('HGET', run, 'owner') or '', type(size) == 'number' and size or 0}
end
local newest, offset, closed = tail()
if newest > attempt then return 'fenced' end
if newest < attempt or first > offset + 1 then return 'gap' end
if closed and first + #entries - 1 > offset then return 'closed' end
if usage ~= '' then redis.call('HSET', run, 'usage:' .. attempt, usage) end
local lines = {}
for i = offset + 2 - first, #entries do
  local id = attempt .. '-' .. string.format('%d', first + i - 1)
  redis.call('XADD', stream, id, 'd', entries[i])
  lines[#lines + 1] = id .. ' ' .. entries[i]
end
if #lines == 0 then return reply() end
if final_state ~= '' then
  redis.call('HSET', run, 'state', final_state, 'ended_at', string.format('%d', now_ms()))
  if error_code ~= '' then redis.call('HSET', run, 'error', error_code) end
  local ended = redis.call('HMGET', run, 'live_runs', 'id', 'chat_key', 'idempotency_key')
  local live_runs, id, chat, idempotency = unpack(ended, 1, 4)
  if live_runs then redis.call('ZREM', live_runs, id) end
  if chat and redis.call('GET', chat) == id then redis.call('PEXPIRE', chat, ttl_ms) end
  local runs = chat and chat .. ':runs'
  if runs and (redis.call('ZCARD', runs) == 1 or redis.call('PTTL', runs) < ttl_ms) then
    redis.call('PEXPIRE', runs, ttl_ms)
  end
  if idempotency and idempotency ~= '' and redis.call('HGET', idempotency, 'run') == id then
    redis.call('PEXPIRE', idempotency, ttl_ms)
  end
end
redis.call('PEXPIRE', stream, ttl_ms)
redis.call('PEXPIRE', run, ttl_ms)
"""
_PUBLISH = "redis.call('PUBLISH', stream, table.concat(lines, '\\n'))\n"
_SPUBLISH = _PUBLISH.replace("PUBLISH", "SPUBLISH")
_REPLY = "return reply()\n"


def _append(
    *,
    stream: Key,
    run: Key,
    attempt: int,
    first: int,
    ttl_ms: int,
    final_state: str,
    error_code: str,
    usage: str,
    entries: Arguments,
) -> bytes | int | tuple[bytes, int]: ...


#: Appends entries from offset `first` on, stores what the attempt has used, unless it is empty, and
#: ends the run if `final_state` is not empty.
#: Publishes new entries as lines `<id> <event>` on the channel with the stream's name.
#: Returns why it refused the append, or what `reply` returns.
append = redis_script(_TAIL, _APPEND, _PUBLISH, _REPLY)(_append)
#: The same for appends that end a run.
append_last = redis_script(_TAIL, _APPEND, _PUBLISH, _REPLY, when_full=True)(_append)

#: The same with sharded pub/sub, for a cluster.
append_sharded = redis_script(_TAIL, _APPEND, _SPUBLISH, _REPLY)(_append)
append_last_sharded = redis_script(_TAIL, _APPEND, _SPUBLISH, _REPLY, when_full=True)(_append)

#: The same without a publication, for streams that are published after their confirmation.
append_unpublished = redis_script(_TAIL, _APPEND, _REPLY)(_append)
append_last_unpublished = redis_script(_TAIL, _APPEND, _REPLY, when_full=True)(_append)


# Starts a new attempt. Returns nil if the run has ended or is unknown. A repeated call with the
# same nonce starts no second attempt. The time since the last write of a crashed attempt, derived
# from the TTL, does not count toward the run's timeout: the run may have been without a worker for
# most of it, and if the clock was set forward, the run would end at once.
@redis_script(
    _TAIL,
    """
local state = redis.call('HGET', run, 'state')
if state ~= 'queued' and state ~= 'running' then return false end
local _, offset = tail()
local attempt = count('attempts')
local now = now_ms()
local now_text = string.format('%d', now)
local is_new = redis.call('HGET', run, 'takeover_nonce') ~= nonce
if is_new then
  attempt = redis.call('HINCRBY', run, 'attempts', 1)
  redis.call('XADD', stream, attempt .. '-0', 'd', string.format('%d', offset))
  redis.call('HSET', run, 'state', 'running', 'takeover_nonce', nonce)
  if worker ~= '' then redis.call('HSET', run, 'worker:' .. attempt, worker .. ' ' .. now_text) end
end
local previous = redis.call('HMGET', run, 'end:' .. attempt - 1, 'worker:' .. attempt - 1)
local crashed = attempt > 1 and not previous[1] and 1 or 0
redis.call('HSETNX', run, 'started_at', now_text)
local started = count('started_at')
if is_new and crashed == 1 then
  local unwritten = math.max(0, math.min(ttl_ms - redis.call('PTTL', run), now - started))
  redis.call('HINCRBY', run, 'crashed_ms', unwritten)
end
redis.call('PEXPIRE', stream, ttl_ms)
redis.call('PEXPIRE', run, ttl_ms)
local admitted = tonumber(redis.call('HGET', run, 'admitted_at') or started)
return {attempt, offset, count('stop_requests'), math.max(0, now - started - count('crashed_ms')),
  count('failures'), count('handovers'), started - admitted,
  redis.call('HGET', run, 'queue'), redis.call('HGET', run, 'supersedes') or '',
  crashed, string.match(previous[2] or '', '^%S*'), admitted}
""",
    when_full=True,
)
def take_over(
    *, stream: Key, run: Key, ttl_ms: int, nonce: str, worker: str
) -> list[Any] | None: ...


# Returns entries after `cursor` (from the start if it is empty), without fences, as lines
# `<id> <event>`; whether there are more; and the size of the next entry if it alone exceeds
# `max_bytes` (-1: no limit). Returns nil if there is no entry at the cursor. It reads in batches,
# so that a large stream is never copied as a whole.
@redis_script("""
local first, found, lines, size = '-', 0, {}, 0
local function page(more, too_large)
  return {table.concat(lines, '\\n'), more, too_large}
end
if cursor ~= '' then
  if not redis.call('XRANGE', stream, cursor, cursor)[1] then return false end
  first = '(' .. cursor
end
local batch_size = max_bytes < 0 and count or 16
while true do
  local batch = redis.call('XRANGE', stream, first, '+', 'COUNT', batch_size)
  for _, entry in ipairs(batch) do
    local id, data = entry[1], entry[2][2]
    if string.sub(id, -2) ~= '-0' then
      if found == count then return page(1, 0) end
      size = size + #data
      if max_bytes >= 0 and size > max_bytes then
        return page(1, found == 0 and #data or 0)
      end
      found = found + 1
      lines[found] = id .. ' ' .. data
    end
  end
  if #batch < batch_size then break end
  first = '(' .. batch[#batch][1]
  batch_size = math.min(2 * batch_size, 128)
end
return page(0, 0)
""")
def read_page(
    *, stream: Key, cursor: str, count: int, max_bytes: int
) -> tuple[bytes, int, int] | None: ...
