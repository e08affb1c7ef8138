"""Counts the seconds of service of jobs, which decide when their owners' next jobs start.

The hash of a job (`keys.fair_job`) stores the expected seconds from its claim on (`cost`), those of
ended attempts (`used`), and when the present attempt started.
"""

from shared.queue.claim_order import DEFAULT_BACKGROUND_PART

#: Lua functions for `FAIR_QUEUE`. `record_claim` removes a job from the fair order, starts to count
#: its seconds of service, and returns its announced wait. `record_release` interrupts the count,
#: and `skip_after` leaves out the time since a lease expired. `record_end` corrects the owner's
#: finish time when the job is removed, and `record_hand_back` when it will return to the order.
SERVICE = f"""
-- The jobs that compete in a class: the first waiting job of each owner, and all that do not wait.
local function competitors(queue, class)
  local first = redis.call('ZCOUNT', queue, class, '(' .. class + first_estimated)
  return first + redis.call('ZCOUNT', queue, first_real, '+inf')
end
local function seconds_of(used, started, now)
  local seconds = started and math.max(0, now - started) / 1000 or 0
  return (tonumber(used) or 0) + seconds
end
local function record_release(id, now)
  local used, started = unpack(redis.call('HMGET', fair_job_of(id), 'used', 'started'))
  if not started then return end
  redis.call('HSET', fair_job_of(id), 'used', seconds_of(used, started, now))
  redis.call('HDEL', fair_job_of(id), 'started')
end
-- The time after a lease has expired is not service, also if it expired because the clock jumped.
local function skip_after(expiry, id, now)
  if expiry < first_real or expiry >= now then return end
  if redis.call('HEXISTS', fair_job_of(id), 'started') == 0 then return end
  redis.call('HINCRBY', fair_job_of(id), 'started', math.floor(now - expiry))
end
-- `owed` are the seconds of service that are owed to the background class. They are limited to an
-- hour, or to the mean duration of a background job.
local function add_owed(queue, seconds)
  local owed, cost = unpack(redis.call('HMGET', clock_of(queue), 'owed', 'background_cost'))
  local limit = math.max(max_debt, tonumber(cost) or 0)
  owed = (tonumber(owed) or 0) + seconds
  write(clock_of(queue), 'owed', math.max(-limit, math.min(owed, limit)))
end
-- `background_part` is the mean part of the claims that background jobs get while some wait.
local function record_class(queue, id, class, rate, cost, background_share)
  if class == 0 and not rate then return end
  local part = number_in(clock_of(queue), 'background_part') or {DEFAULT_BACKGROUND_PART}
  local claimed = class == 0 and 0 or 1
  part = part + (claimed - part) / 50
  write(clock_of(queue), 'background_part', part, 'background_share', background_share)
  if rate then
    redis.call('HSET', fair_job_of(id), 'rate', rate)
    add_owed(queue, rate * cost)
  end
end
local function record_claim(queue, id, score, now, rate, background_share)
  local job = fair_job_of(id)
  local owner, weight, cost, announced = unpack(
    redis.call('HMGET', job, 'owner', 'weight', 'cost', 'announced'))
  if owner and not cost then
    local class, clock = class_of(owner), clock_of(queue)
    local time, of_class = field_of(class, 'now'), mean_fields(class)
    local finish, mean, own_weight = unpack(
      redis.call('HMGET', owner, 'finish', 'cost', 'weight'))
    local mean_advance = field_of(class, 'advance')
    local virtual, class_mean, all, advance = unpack(
      redis.call('HMGET', clock, time, of_class, 'cost', mean_advance))
    cost = tonumber(mean or class_mean or all) or 1
    local is_placed = score >= class and is_exact(class, score)
    local start = is_placed and score or start_at(virtual_time(queue, class, virtual), finish)
    local seconds = cost / (own_weight or weight)
    write(owner, 'finish', start + seconds)
    -- Virtual time advances with each claim, so that new owners do not starve an older one.
    -- Forecasts use the mean advance.
    local before = tonumber(virtual) or start
    local after = math.max(before, start) + seconds / competitors(queue, class)
    advance = tonumber(advance) or after - before
    write(clock, time, after, mean_advance, advance + (after - before - advance) / 20)
    redis.call('HSET', job, 'cost', cost, 'started', now)
    record_class(queue, id, class, rate, cost, background_share)
  elseif owner then
    skip_after(score, id, now)
    redis.call('HSETNX', job, 'started', now)
  end
  leave(queue, id, owner)
  return announced
end
-- The first means are exact.
local function add_to_mean(mean, ended, used, runs)
  mean, ended = tonumber(mean) or used, (tonumber(ended) or 0) + 1
  return math.max(0.01, mean + (used - mean) / math.min(runs, ended)), ended
end
-- The owner's first waiting job starts later, or earlier, if the finish time was corrected.
local function correct_start(queue, owner, class, finish, now, is_earlier)
  local id = redis.call('ZRANGE', jobs_of(owner), 0, 0)[1]
  local score = id and score_of(queue, id)
  if not score or not is_exact(class, score) then return end
  local start = math.max(score, finish)
  if is_earlier then start = math.min(score, math.max(now, finish)) end
  redis.call('ZADD', queue, start, id)
end
-- Replaces the expected duration of a claimed job by its seconds of service. If it has ended, they
-- also change the means of its owner and its queue. Returns the job's owner.
local function count_service(queue, id, now, has_ended)
  local owner, weight, cost, rate, used, started = unpack(redis.call('HMGET', fair_job_of(id),
    'owner', 'weight', 'cost', 'rate', 'used', 'started'))
  if has_ended then leave(queue, id, owner) end
  if not owner or not cost then return owner end
  local seconds, class, clock = seconds_of(used, started, now), class_of(owner), clock_of(queue)
  local mean_field, ended_field = mean_fields(class)
  local finish, mean, ended, own_weight = unpack(
    redis.call('HMGET', owner, 'finish', 'cost', 'ended', 'weight'))
  local virtual, all, all_ended, of_class, class_ended = unpack(redis.call('HMGET', clock,
    field_of(class, 'now'), 'cost', 'ended', mean_field, ended_field))
  virtual = virtual_time(queue, class, virtual)
  local correction = (seconds - cost) / (own_weight or weight)
  finish = math.min((tonumber(finish) or virtual) + correction, virtual + max_debt)
  if has_ended then
    mean, ended = add_to_mean(mean, ended, seconds, 5)
    write(owner, 'finish', finish, 'cost', mean, 'ended', ended)
    all, all_ended = add_to_mean(all, all_ended, seconds, 40)
    of_class, class_ended = add_to_mean(of_class, class_ended, seconds, 40)
    write(clock, 'cost', all, 'ended', all_ended, mean_field, of_class, ended_field, class_ended)
  else
    write(owner, 'finish', finish)
  end
  correct_start(queue, owner, class, finish, virtual, correction < 0)
  if rate then add_owed(queue, rate * (seconds - cost)) end
  return owner
end
local function record_end(queue, id, now)
  count_service(queue, id, now, true)
  redis.call('DEL', fair_job_of(id))
end
local function record_hand_back(queue, id, now)
  local owner = count_service(queue, id, now, false)
  redis.call('HDEL', fair_job_of(id), 'cost', 'rate', 'used', 'started', 'requeued')
  if owner then redis.call('HSET', fair_job_of(id), 'handed_back', 1) end
end
"""
