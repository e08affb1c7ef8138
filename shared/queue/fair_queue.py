"""Fair order of waiting jobs between owners: start-time fair queuing.

The score of a job in its queue orders the claims:

- From `FIRST_REAL` on, a time in Unix milliseconds: an expired lease, a job that was handed over,
  or one that is not due yet. Jobs that are due by their time are claimed first, except those that
  were handed back: they return to the fair order.
- Below `FIRST_ESTIMATED`, the virtual start time of an owner's first waiting job.
- In between, the estimated start of the owner's other jobs, which are not ahead of any first job.
- Below 0, a job that an operator moved to the front.

Virtual time is in seconds of service. A claim moves it to the start of the claimed job. A job
starts at the virtual time, or at its owner's finish time if that is later. Its claim adds the
estimated duration divided by the owner's weight to the finish time. When the job is removed, the
finish time and the start of the owner's first waiting job are corrected by the real duration.

A job without an owner, such as one from an older version, has its due time as its score.
"""

from shared.redis import keys

#: Scores from here on are times. All of them are later: this is September 2001.
FIRST_REAL = 10**12
#: Scores from here to `FIRST_REAL` are estimates, of the jobs that are not their owner's first one.
FIRST_ESTIMATED = 25 * 10**10

#: Lua functions. `enter` adds a job to the fair order, as a job of the owner in its share, and
#: `enter_for` as a job of a named owner. `enter_first` returns a job to the order before the other
#: jobs of its owner, and `move_to_front` moves one before the jobs of all owners. `leave` removes
#: it from the order. `record_claim` does so too, and starts to count the job's seconds of service.
#: `record_release` interrupts the count, and `skip_after` leaves out the time since a lease
#: expired. `record_end` corrects the owner's finish time when the job is removed, and
#: `record_hand_back` when it will return to the order. `next_due` returns the job to claim next,
#: and its score. `repair` corrects what processes of an older version leave behind, and jobs whose
#: owner is no longer stored. `oldest_due` returns the time at which the oldest waiting job became
#: due.
FAIR_QUEUE = f"""
local first_real, first_estimated = {FIRST_REAL}, {FIRST_ESTIMATED}
local fair_ttl_ms = 3600000
local max_debt = 3600   -- seconds of service by which an owner can be behind all others
local tick = 1 / 16384  -- keeps jobs with equal starts in the order of their arrival
local function share_of(id) return string.format('{keys.job_share("%s")}', id) end
local function due_times_of(queue) return string.format('{keys.due_times("%s")}', queue) end
local function clock_of(queue) return string.format('{keys.virtual_clock("%s")}', queue) end
local function jobs_of(owner) return string.format('{keys.owner_jobs("%s")}', owner) end
local function owners_of(queue) return string.format('{keys.waiting_owners("%s")}', queue) end
local function number_in(key, field) return tonumber(redis.call('HGET', key, field)) end
local function score_of(queue, id) return tonumber(redis.call('ZSCORE', queue, id)) end
-- If the clock has expired, it continues from the first waiting job: new jobs must not be ahead.
local function virtual_now(queue)
  local now = number_in(clock_of(queue), 'now')
  if now then return now end
  local first = tonumber(redis.call('ZRANGE', queue, 0, 0, 'WITHSCORES')[2])
  return first and first < first_estimated and first + tick or 0
end
-- The jobs that compete: all but those behind the first waiting job of their owner.
local function competitors(queue)
  local estimated = redis.call('ZCOUNT', queue, first_estimated, '(' .. first_real)
  return redis.call('ZCARD', queue) - estimated
end
local function write(key, ...)
  redis.call('HSET', key, ...)
  redis.call('PEXPIRE', key, fair_ttl_ms)
end
local function estimate(queue, owner)
  return number_in(owner, 'cost') or number_in(clock_of(queue), 'cost') or 1
end
local function start_of(queue, owner)
  local now = virtual_now(queue)
  local finish = number_in(owner, 'finish') or 0
  return math.max(now, math.min(finish, now + max_debt)), now
end
local function place(queue, owner, id)
  local start, now = start_of(queue, owner)
  redis.call('ZADD', queue, start, id)
  if start == now then write(clock_of(queue), 'now', now + tick) end
end
local function place_first(queue, owner)
  while true do
    local id = redis.call('ZRANGE', jobs_of(owner), 0, 0)[1]
    if not id then return end
    local score = score_of(queue, id)
    if score and score < first_real then
      if score >= first_estimated then place(queue, owner, id) end
      return
    end
    redis.call('ZREM', jobs_of(owner), id)
  end
end
local function add_waiting(owner, number, queue, id, now, ttl_ms)
  redis.call('ZADD', jobs_of(owner), number, id)
  redis.call('PEXPIRE', jobs_of(owner), ttl_ms)
  redis.call('ZADD', due_times_of(queue), now, id)
  redis.call('PEXPIRE', due_times_of(queue), ttl_ms)
  redis.call('ZADD', owners_of(queue), redis.call('ZCARD', jobs_of(owner)), owner)
  redis.call('PEXPIRE', owners_of(queue), ttl_ms)
end
local function enter_for(owner, weight, queue, id, now, ttl_ms)
  local last = redis.call('ZRANGE', jobs_of(owner), -1, -1, 'WITHSCORES')
  add_waiting(owner, (tonumber(last[2]) or 0) + 1, queue, id, now, ttl_ms)
  if not last[1] then return place(queue, owner, id) end
  local ahead = score_of(queue, last[1]) or 0
  if ahead < first_estimated then ahead = ahead + first_estimated end
  local start = ahead + estimate(queue, owner) / weight
  redis.call('ZADD', queue, math.min(start, first_real - 1), id)
  place_first(queue, owner)
end
local function waiting_ttl(queue) return math.max(60000, redis.call('PTTL', queue)) end
local function enter(queue, id, now)
  local owner, weight = unpack(redis.call('HMGET', share_of(id), 'owner', 'weight'))
  if not owner then
    redis.call('ZADD', queue, now, id)
  else
    enter_for(owner, weight, queue, id, now, waiting_ttl(queue))
  end
end
-- It takes the start of the owner's first job, which then waits for it.
local function enter_first(queue, id, now)
  local owner = redis.call('HGET', share_of(id), 'owner')
  local first = redis.call('ZRANGE', jobs_of(owner), 0, 0, 'WITHSCORES')
  add_waiting(owner, (tonumber(first[2]) or 0) - 1, queue, id, now, waiting_ttl(queue))
  local start = first[1] and score_of(queue, first[1])
  if not start or start >= first_estimated then return place(queue, owner, id) end
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
  redis.call('ZREM', due_times_of(queue), id)
  owner = owner or redis.call('HGET', share_of(id), 'owner')
  if owner and redis.call('ZREM', jobs_of(owner), id) == 1 then
    place_first(queue, owner)
    recount(queue, owner)
  end
end
local function move_to_front(queue, id, now)
  local due = redis.call('ZSCORE', due_times_of(queue), id)
  local first = tonumber(redis.call('ZRANGE', queue, 0, 0, 'WITHSCORES')[2])
  leave(queue, id)
  redis.call('ZADD', queue, math.min(first, 0) - 1, id)
  redis.call('ZADD', due_times_of(queue), due or now, id)
  keep(due_times_of(queue), waiting_ttl(queue))
end
local function seconds_used(id, now)
  local used, started = unpack(redis.call('HMGET', share_of(id), 'used', 'started'))
  local seconds = started and math.max(0, now - started) / 1000 or 0
  return (tonumber(used) or 0) + seconds
end
local function record_release(id, now)
  if redis.call('HEXISTS', share_of(id), 'started') == 0 then return end
  redis.call('HSET', share_of(id), 'used', seconds_used(id, now))
  redis.call('HDEL', share_of(id), 'started')
end
-- The time after a lease has expired is not service, also if it expired because the clock jumped.
local function skip_after(expiry, id, now)
  if expiry < first_real or expiry >= now then return end
  if redis.call('HEXISTS', share_of(id), 'started') == 0 then return end
  redis.call('HINCRBY', share_of(id), 'started', math.floor(now - expiry))
end
local function record_claim(queue, id, score, now)
  local owner, weight, cost = unpack(redis.call('HMGET', share_of(id), 'owner', 'weight', 'cost'))
  if owner and not cost then
    cost = estimate(queue, owner)
    local placed = score >= 0 and score < first_estimated
    local start = placed and score or start_of(queue, owner)
    write(owner, 'finish', start + cost / weight)
    -- Virtual time advances with each claim, so that new owners do not starve an older one.
    local advance = cost / weight / competitors(queue)
    local virtual = number_in(clock_of(queue), 'now') or 0
    write(clock_of(queue), 'now', math.max(virtual, start) + advance)
    redis.call('HSET', share_of(id), 'cost', cost, 'started', now)
  elseif owner then
    skip_after(score, id, now)
    redis.call('HSETNX', share_of(id), 'started', now)
  end
  leave(queue, id, owner)
end
local function correct_finish(queue, owner, seconds)
  local now = virtual_now(queue)
  local finish = math.min((number_in(owner, 'finish') or now) + seconds, now + max_debt)
  write(owner, 'finish', finish)
  local id = redis.call('ZRANGE', jobs_of(owner), 0, 0)[1]
  local score = id and score_of(queue, id)
  if not score or score >= first_estimated then return end
  local start = math.max(score, finish)
  if seconds < 0 then start = math.min(score, math.max(now, finish)) end
  redis.call('ZADD', queue, start, id)
end
local function update_mean(key, used, runs)
  local cost = number_in(key, 'cost') or used
  runs = math.min(runs, redis.call('HINCRBY', key, 'ended', 1))
  write(key, 'cost', math.max(0.01, cost + (used - cost) / runs))
end
local function record_end(queue, id, now)
  local owner, weight, cost = unpack(redis.call('HMGET', share_of(id), 'owner', 'weight', 'cost'))
  leave(queue, id, owner)
  if owner and cost then
    local used = seconds_used(id, now)
    update_mean(owner, used, 5)
    update_mean(clock_of(queue), used, 40)
    correct_finish(queue, owner, (used - cost) / weight)
  end
  redis.call('DEL', share_of(id))
end
local function record_hand_back(queue, id, now)
  local owner, weight, cost = unpack(redis.call('HMGET', share_of(id), 'owner', 'weight', 'cost'))
  if not owner then return end
  if cost then correct_finish(queue, owner, (seconds_used(id, now) - cost) / weight) end
  redis.call('HDEL', share_of(id), 'cost', 'used', 'started')
  redis.call('HSET', share_of(id), 'handed_back', 1)
end
local function next_due(queue, now)
  local found = redis.call('ZRANGEBYSCORE', queue, first_real, now, 'WITHSCORES', 'LIMIT', 0, 1)
  if not found[1] then found = redis.call('ZRANGE', queue, 0, 0, 'WITHSCORES') end
  local score = tonumber(found[2])
  if score and score <= now then return found[1], score end
end
local function repair(queue)
  local id = redis.call('ZRANGE', due_times_of(queue), 0, 0)[1]
  local score = id and score_of(queue, id)
  if id and not (score and score < first_real) then
    redis.call('ZREM', due_times_of(queue), id)
  elseif id and score >= first_estimated then
    local owner = redis.call('HGET', share_of(id), 'owner')
    if owner then
      place_first(queue, owner)
    else
      redis.call('ZADD', queue, virtual_now(queue), id)
    end
  end
end
local function oldest_due(queue, now)
  local recovered = redis.call('ZRANGEBYSCORE', queue, first_real, now, 'WITHSCORES', 'LIMIT', 0, 1)
  local oldest = tonumber(recovered[2]) or now
  local rows = redis.call('ZRANGE', due_times_of(queue), 0, 99, 'WITHSCORES')
  for i = 1, #rows, 2 do
    local score = score_of(queue, rows[i])
    if score and score < first_real then return math.min(oldest, tonumber(rows[i + 1])) end
    redis.call('ZREM', due_times_of(queue), rows[i])
  end
  return oldest
end
"""
