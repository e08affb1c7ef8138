"""Chat queues: the live run of each chat, and the runs that wait for it, in order.

A job is in its worker queue from the start, so it is as durable as any other, but deferred. The
script that removes a chat's first job also makes the next one due. A job that is not removed keeps
its lease or its due time, so a worker claims it again and removes it then: no crash between two
steps can leave the next job waiting. If Redis loses the first job, a job that waits becomes due
after `RECHECK_MS`, or as soon as a client follows it.
"""

from shared.queue.fair_queue import FAIR_QUEUE
from shared.queue.wakeups import PUSH_WAKEUP
from shared.redis import keys
from shared.redis.scripts import lua_key

#: When a waiting job becomes due if no earlier job of its chat does that. A claim defers it again
#: unless it is the first by then.
RECHECK_MS = 300_000

#: Lua functions: `publish_change` notifies the followers of a chat. `start_first` forgets the jobs
#: that have left their queues, and makes the first one that remains due unless a worker holds it or
#: has handed it back.
#: `leave_chat` removes a job, and starts the next one if it was the first. `may_start` returns
#: whether no earlier job of its chat is in a queue.
CHAT_QUEUE = f"""
{PUSH_WAKEUP}
{FAIR_QUEUE}
local recheck_ms = {RECHECK_MS}
local function chat_of(id) return {lua_key(keys.job_chat, "id")} end
local function split_entry(entry)
  local id, queue = string.match(entry, '^(%S+) (.+)$')
  return id, queue
end
local function publish_change(chat_queue) redis.call('PUBLISH', chat_queue, 'changed') end
local function start_first(chat_queue)
  while true do
    local entry = redis.call('LINDEX', chat_queue, 0)
    if not entry then return end
    local id, queue = split_entry(entry)
    local due = redis.call('ZSCORE', queue, id)
    if due then
      local now = now_ms()
      if tonumber(due) > now and redis.call('EXISTS', '{keys.lease("")}' .. id) == 0
          and redis.call('HEXISTS', fair_job_of(id), 'handed_back') == 0 then
        enter(queue, id, now)
        push_wakeup({lua_key(keys.wakeup, "queue")})
      end
      return id
    end
    redis.call('LPOP', chat_queue)
    redis.call('DEL', chat_of(id))
    publish_change(chat_queue)
  end
end
local function leave_chat(id)
  local chat_queue = redis.call('GET', chat_of(id))
  if not chat_queue then return end
  redis.call('DEL', chat_of(id))
  publish_change(chat_queue)
  for position, entry in ipairs(redis.call('LRANGE', chat_queue, 0, -1)) do
    if split_entry(entry) == id then
      redis.call('LREM', chat_queue, 1, entry)
      if position == 1 then start_first(chat_queue) end
      break
    end
  end
end
local function may_start(id, queue)
  local chat_queue = redis.call('GET', chat_of(id))
  if not chat_queue then return true end
  local first = redis.call('LINDEX', chat_queue, 0)
  if not first or split_entry(first) == id then return true end
  if not redis.call('LPOS', chat_queue, id .. ' ' .. queue) then return true end
  return start_first(chat_queue) == id
end
"""
