"""Fair order of waiting jobs between owners: start-time fair queuing, in two classes.

The score of a job in its queue orders the claims:

- From `FIRST_REAL` on, a time in Unix milliseconds: an expired lease, a job that was handed over,
  or one that is not due yet. Jobs that are due by their time are claimed first, except those that
  were handed back or have never been claimed: they enter the fair order.
- Below 0, a job that an operator moved to the front.
- From 0 on, the interactive jobs, and from `FIRST_BACKGROUND` on, those of the class `background`.
  In each class, the scores below `FIRST_ESTIMATED` are the virtual start times of the owners' first
  waiting jobs. The scores above are estimates for the owners' other waiting jobs.

Virtual time is in seconds of service. Each class has its own. A claim moves it to the start of the
claimed job. A job starts at the virtual time, or at its owner's finish time if that is later. Its
claim adds the estimated duration divided by the owner's weight to the finish time. When the job is
removed, the finish time and the start of the owner's first waiting job are corrected by the real
duration.

Interactive jobs are claimed first. While both classes wait, each second of service of an
interactive job adds `background_share` to the seconds that are owed to the background class, and
each second of a background job subtracts `1 - background_share`. A background job is claimed when
the owed seconds cover its expected duration, multiplied by `1 - background_share`.

A job without an owner, such as one from an older version, has its due time as its score.
"""

from shared.queue.shares.service import SERVICE
from shared.redis import keys
from shared.redis.scripts import lua_key

#: Scores from here on are times in Unix milliseconds. As a time, this is in September 2001.
FIRST_REAL = 10**12
#: The size of the range of exact scores of a class, and of the range of its estimated scores.
FIRST_ESTIMATED = 25 * 10**10
#: Scores from here to `FIRST_REAL` belong to background jobs.
FIRST_BACKGROUND = 50 * 10**10

#: Lua functions, with those of `SERVICE`. `enter` adds a job to the fair order, as a job of the
#: owner in its hash, and `enter_for` as a job of a named owner, whose weight may have changed.
#: `set_weight` changes the weight of an owner. `enter_first` returns a job to the order before the
#: other jobs of its owner, and `move_to_front` moves one before the jobs of all owners. `leave`
#: removes it from the order. `return_to_order` adds a due job that was handed back or was never
#: claimed, unless `record_requeue` has marked it. `next_due` returns the job to claim next, its
#: score, and what each second of its service adds to the seconds that are owed to the background
#: class. `repair` corrects what processes of an older version leave behind, and jobs whose owner is
#: no longer stored. It returns whether background jobs wait. `oldest_due` returns the time at which
#: the oldest waiting job became due.
FAIR_QUEUE = f"""
local first_real, first_estimated = {FIRST_REAL}, {FIRST_ESTIMATED}
local first_background = {FIRST_BACKGROUND}
local fair_ttl_ms = 3600000
local max_debt = 3600   -- seconds of service by which an owner can be behind all others
local tick = 1 / 16384  -- keeps jobs with equal starts in the order of their arrival
local function fair_job_of(id) return {lua_key(keys.fair_job, "id")} end
local function clock_of(queue) return {lua_key(keys.virtual_clock, "queue")} end
local function jobs_of(owner) return {lua_key(keys.owner_jobs, "owner")} end
local function owners_of(queue) return {lua_key(keys.waiting_owners, "queue")} end
local function number_in(key, field) return tonumber(redis.call('HGET', key, field)) end
local function score_of(queue, id) return tonumber(redis.call('ZSCORE', queue, id)) end
-- A class is the first of its scores. An owner has a separate hash for each class.
local function class_of(owner)
  return string.sub(owner, -11) == ':background' and first_background or 0
end
local function field_of(class, name) return class == 0 and name or 'background_' .. name end
local function due_times_of(queue, class)
  if class == 0 then return {lua_key(keys.due_times, "queue")} end
  return {lua_key(keys.background_due_times, "queue")}
end
local function is_exact(class, score) return score < class + first_estimated end
-- `stored` is the virtual time of the clock. If it has expired, it continues from the first waiting
-- job: new jobs must not be ahead.
local function virtual_time(queue, class, stored)
  if stored then return tonumber(stored) end
  local last = '(' .. class + first_estimated
  local first = redis.call('ZRANGEBYSCORE', queue, class, last, 'WITHSCORES', 'LIMIT', 0, 1)[2]
  return first and first + tick or class
end
local function virtual_now(queue, class)
  return virtual_time(queue, class, redis.call('HGET', clock_of(queue), field_of(class, 'now')))
end
local function write(key, ...)
  redis.call('HSET', key, ...)
  redis.call('PEXPIRE', key, fair_ttl_ms)
end
local function mean_fields(class)
  if class == 0 then return 'interactive_cost', 'interactive_ended' end
  return 'background_cost', 'background_ended'
end
-- `cost` is the mean duration of the owner's jobs, if it is known.
local function estimate(queue, class, cost)
  if cost then return tonumber(cost) end
  local of_class = mean_fields(class)
  local mean, of_all = unpack(redis.call('HMGET', clock_of(queue), of_class, 'cost'))
  return tonumber(mean or of_all) or 1
end
local function start_at(now, finish)
  return math.max(now, math.min(tonumber(finish) or 0, now + max_debt))
end
local function place(queue, owner, id, finish)
  local class = class_of(owner)
  local now = virtual_now(queue, class)
  local start = start_at(now, finish)
  redis.call('ZADD', queue, start, id)
  if start == now then write(clock_of(queue), field_of(class, 'now'), now + tick) end
end
-- Returns whether a job of the owner waits.
local function place_first(queue, owner)
  while true do
    local id = redis.call('ZRANGE', jobs_of(owner), 0, 0)[1]
    if not id then return false end
    local score = score_of(queue, id)
    if score and score < first_real then
      if not is_exact(class_of(owner), score) then
        place(queue, owner, id, redis.call('HGET', owner, 'finish'))
      end
      return true
    end
    redis.call('ZREM', jobs_of(owner), id)
  end
end
-- Changes the weight of an owner, also for the jobs that wait or run. The owner's finish time and
-- the start of the first waiting job are later than the virtual time by a difference, which is
-- multiplied by the ratio of the weights and limited to `max_debt`. `old` is the previous weight if
-- the owner's hash has none.
local function set_weight(queue, owner, weight, old)
  local class = class_of(owner)
  local finish, stored = unpack(redis.call('HMGET', owner, 'finish', 'weight'))
  local ratio = (stored or old) / weight
  if ratio == 1 then return end
  local now = virtual_now(queue, class)
  local function scaled(time)
    return time > now and math.min(now + (time - now) * ratio, now + max_debt) or time
  end
  write(owner, 'weight', weight, 'finish', scaled(tonumber(finish) or now))
  local id = redis.call('ZRANGE', jobs_of(owner), 0, 0)[1]
  local score = id and score_of(queue, id)
  if score and score >= class and is_exact(class, score) then
    redis.call('ZADD', queue, scaled(score), id)
  end
end
local function add_waiting(owner, number, queue, id, now, ttl_ms, others_wait)
  local class, jobs, owners = class_of(owner), jobs_of(owner), owners_of(queue)
  local due_times = due_times_of(queue, class)
  redis.call('ZADD', jobs, number, id)
  redis.call('PEXPIRE', jobs, ttl_ms)
  redis.call('ZADD', due_times, now, id)
  redis.call('PEXPIRE', due_times, ttl_ms)
  redis.call('ZADD', owners, others_wait and redis.call('ZCARD', jobs) or 1, owner)
  redis.call('PEXPIRE', owners, ttl_ms)
end
local function enter_for(owner, weight, queue, id, now, ttl_ms)
  local last = redis.call('ZRANGE', jobs_of(owner), -1, -1, 'WITHSCORES')
  local finish, cost, old = unpack(redis.call('HMGET', owner, 'finish', 'cost', 'weight'))
  -- The owner's hash can expire before those of its waiting jobs, which store the weight too.
  local is_expired = not finish and last[1]
  old = old or is_expired and redis.call('HGET', fair_job_of(last[1]), 'weight') or 1
  if weight and weight ~= tonumber(old) then
    set_weight(queue, owner, weight, old)
    finish = redis.call('HGET', owner, 'finish')
  end
  add_waiting(owner, (tonumber(last[2]) or 0) + 1, queue, id, now, ttl_ms, last[1])
  if not last[1] then return place(queue, owner, id, finish) end
  local class = class_of(owner)
  local ahead = math.max(class, score_of(queue, last[1]) or 0)
  if is_exact(class, ahead) then ahead = ahead + first_estimated end
  local start = ahead + estimate(queue, class, cost) / (weight or old)
  redis.call('ZADD', queue, math.min(start, class + 2 * first_estimated - 1), id)
  place_first(queue, owner)
end
local function waiting_ttl(queue) return math.max(60000, redis.call('PTTL', queue)) end
local function enter(queue, id, now)
  local owner = redis.call('HGET', fair_job_of(id), 'owner')
  if not owner then
    redis.call('ZADD', queue, now, id)
  else
    enter_for(owner, nil, queue, id, now, waiting_ttl(queue))
  end
end
-- The job takes the start of the owner's first waiting job, which becomes the second one.
local function enter_first(queue, id, now)
  local owner = redis.call('HGET', fair_job_of(id), 'owner')
  local first = redis.call('ZRANGE', jobs_of(owner), 0, 0, 'WITHSCORES')
  local number = (tonumber(first[2]) or 0) - 1
  add_waiting(owner, number, queue, id, now, waiting_ttl(queue), first[1])
  local start = first[1] and score_of(queue, first[1])
  if not start or not is_exact(class_of(owner), start) then
    return place(queue, owner, id, redis.call('HGET', owner, 'finish'))
  end
  redis.call('ZADD', queue, start, id, start + first_estimated, first[1])
end
local function recount(queue, owner)
  local count = redis.call('ZCARD', jobs_of(owner))
  if count > 0 then
    redis.call('ZADD', owners_of(queue), 'XX', count, owner)
  else
    redis.call('ZREM', owners_of(queue), owner)
  end
end
local function leave(queue, id, owner)
  owner = owner or redis.call('HGET', fair_job_of(id), 'owner')
  redis.call('ZREM', due_times_of(queue, owner and class_of(owner) or 0), id)
  if not owner or redis.call('ZREM', jobs_of(owner), id) == 0 then return end
  if place_first(queue, owner) then
    recount(queue, owner)
  else
    redis.call('ZREM', owners_of(queue), owner)
  end
end
local function move_to_front(queue, id, now)
  local owner = redis.call('HGET', fair_job_of(id), 'owner')
  local due_times = due_times_of(queue, owner and class_of(owner) or 0)
  local due = redis.call('ZSCORE', due_times, id)
  local first = tonumber(redis.call('ZRANGE', queue, 0, 0, 'WITHSCORES')[2])
  leave(queue, id, owner)
  redis.call('ZADD', queue, math.min(first, 0) - 1, id)
  redis.call('ZADD', due_times, due or now, id)
  keep(due_times, waiting_ttl(queue))
end
-- A job without a cost has no claim. If an operator has requeued it, it is claimed at its due time.
local function return_to_order(queue, id, now)
  local owner, cost, is_requeued = unpack(
    redis.call('HMGET', fair_job_of(id), 'owner', 'cost', 'requeued'))
  if not owner or cost or is_requeued then return false end
  if redis.call('HDEL', fair_job_of(id), 'handed_back') == 1 then
    enter_first(queue, id, now)
  else
    enter(queue, id, now)
  end
  return true
end
local function record_requeue(id)
  redis.call('HDEL', fair_job_of(id), 'handed_back')
  if redis.call('HEXISTS', fair_job_of(id), 'owner') == 1 then
    redis.call('HSET', fair_job_of(id), 'requeued', 1)
  end
end
-- Without `background_share`, no background job waits.
local function next_due(queue, now, background_share)
  local timed = redis.call('ZRANGEBYSCORE', queue, first_real, now, 'WITHSCORES', 'LIMIT', 0, 1)
  if timed[1] then return timed[1], tonumber(timed[2]) end
  local first = redis.call('ZRANGE', queue, 0, 0, 'WITHSCORES')
  local score = tonumber(first[2])
  if not score or score > now then return end
  if score < 0 or score >= first_background or not background_share then
    return first[1], score
  end
  local background = redis.call('ZRANGEBYSCORE', queue, first_background, '(' .. first_real,
    'WITHSCORES', 'LIMIT', 0, 1)
  if not background[1] then return first[1], score end
  local owed, cost = unpack(redis.call('HMGET', clock_of(queue), 'owed', 'background_cost'))
  local price = (1 - background_share) * (tonumber(cost) or 1)
  if background_share > 0 and (tonumber(owed) or 0) >= price then
    return background[1], tonumber(background[2]), background_share - 1
  end
  return first[1], score, background_share
end
local function has_due(queue, now)
  local score = tonumber(redis.call('ZRANGE', queue, 0, 0, 'WITHSCORES')[2])
  return score and score <= now
end
local function repair_class(queue, class)
  local due_times = due_times_of(queue, class)
  local id = redis.call('ZRANGE', due_times, 0, 0)[1]
  local score = id and score_of(queue, id)
  if id and not (score and score < first_real) then
    redis.call('ZREM', due_times, id)
  elseif id and not is_exact(class, score) then
    local owner = redis.call('HGET', fair_job_of(id), 'owner')
    if owner then
      place_first(queue, owner)
    else
      redis.call('ZADD', queue, virtual_now(queue, class), id)
    end
  end
  return id ~= nil
end
local function repair(queue)
  repair_class(queue, 0)
  return repair_class(queue, first_background)
end
-- Background jobs may wait for hours, so their wait does not count.
local function oldest_due(queue, now)
  local recovered = redis.call('ZRANGEBYSCORE', queue, first_real, now, 'WITHSCORES', 'LIMIT', 0, 1)
  local oldest = tonumber(recovered[2]) or now
  local due_times = due_times_of(queue, 0)
  local rows = redis.call('ZRANGE', due_times, 0, 99, 'WITHSCORES')
  for i = 1, #rows, 2 do
    local score = score_of(queue, rows[i])
    if score and score < first_real then return math.min(oldest, tonumber(rows[i + 1])) end
    redis.call('ZREM', due_times, rows[i])
  end
  return oldest
end
{SERVICE}
"""
