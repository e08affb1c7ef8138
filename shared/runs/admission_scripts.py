"""The scripts that admit runs. Both make the same decisions, but look up other runs differently.

The checks and the admission are not Lua functions, because a call of a script creates its functions
again. That takes time for each variable of the script that a function uses.
"""

from typing import TypedDict, Unpack

from shared.limits.admission_limits import CHECK_LIMITS, LIMIT_FUNCTIONS
from shared.queue.chat_queue import CHAT_QUEUE
from shared.queue.pauses import IS_PAUSED
from shared.redis.scripts import Arguments, Key, OptionalKey, redis_script

#: Verdict, run id, superseded run ids separated by spaces, and a number: the microseconds spent of
#: the rate, or the age of the oldest run or the time until one expires, in milliseconds, or the
#: number of the budget that is used up. With a budget, also a report of the owner's usage.
Reply = list[bytes | int]


class AdmissionParameters(TypedDict):
    """The parameters of both scripts. Times are by the clock of Redis.

    `admission_mark` exists once the run is admitted. `rate` is a token bucket, stored as the time
    at which it is full again (GCRA).
    """

    chat: Key
    chat_runs: Key
    chat_queue: Key
    admission_mark: Key
    job: Key
    queue: Key
    queue_names: Key
    wakeup: Key
    fair_job: Key
    fair_owner: Key
    rate: Key
    live_runs: Key
    owner_usage: Key
    owner_bytes: Key
    owner_stored: Key
    webhook_runs: Key
    memory_checked: Key
    idempotency: OptionalKey
    run_id: str
    queue_name: str
    payload: bytes
    ttl_ms: int
    #: Of the owner, in the fair order of waiting jobs.
    weight: float
    #: The owner's name and plan, which select the weight.
    owner: str
    plan: str
    #: What to do if the chat has live runs: `reject`, `supersede` or `queue`.
    when_busy: str
    #: How long to wait for superseded runs.
    supersede_ms: int
    #: Maximum number of runs that wait for the chat's live run.
    max_waiting: int
    #: Of the request with the idempotency key, or ''.
    fingerprint: str
    #: The runs that it continues, separated by spaces.
    continued_runs: str
    requests_per_minute: int
    burst: int
    #: The limits of the owner's budget, or ''.
    budget: str
    max_live_runs: int
    max_queue_depth: int
    #: Of the owner's runs; 0: no limit, and they are not counted.
    max_owner_bytes: int
    run_bytes: int
    #: Share of the server's memory limit; 0: no limit.
    max_memory_share: float
    #: When to check whether the run has ended, to report it; 0: it is not reported.
    webhook_check_ms: int


#: The state that the checks read and change. `spent` are microseconds of the rate, and `newest` is
#: the chat's newest run. `superseded` or `waits_for` holds the chat's live runs, separated by
#: spaces, and `listed_runs` is the length of the chat's queue. `used_bytes` and `usage` belong to
#: the owner: the bytes of the runs, and the report of the used budgets.
_STATE = """
local now_micros = now_us()
local now = math.floor(now_micros / 1000)
local interval = requests_per_minute == 0 and 0 or 60000000 / requests_per_minute
local spent = interval == 0 and 0 or spent_of(rate, now_micros, interval, burst)
local superseded, waits_for, listed_runs, used_bytes, usage = '', '', 0, 0, nil
local newest = redis.call('GET', chat)
"""

#: Returns a refusal, or the run that an earlier call of the same request has admitted. Requires
#: functions that look up other runs: `is_kept`, `is_live` and `has_ended`. Also
#: `superseded_before`, the runs that this one superseded when it was admitted.
#:
#: `live` are the chat's live runs in order. `orphan` is one of them whose job is in no queue.
_CHECK = f"""
if redis.call('EXISTS', admission_mark) == 1 then
  return {{'admitted', run_id, superseded_before(), math.ceil(spent)}}
end
if idempotency then
  local used = redis.call('HMGET', idempotency, 'run', 'fingerprint')
  if used[1] and is_kept(used[1]) then
    if used[2] ~= fingerprint then return {{'mismatch', '', '', 0}} end
    return {{'admitted', used[1], '', math.ceil(spent)}}
  end
end
if is_paused('intake', queue) then return {{'paused', '', '', 0}} end

local live, orphan, is_listed = {{}}, nil, false
local entries = redis.call('LRANGE', chat_queue, 0, -1)
listed_runs = #entries
for _, entry in ipairs(entries) do
  local id, its_queue = split_entry(entry)
  is_listed = is_listed or id == newest
  if is_live(id) then
    live[#live + 1] = id
    if not redis.call('ZSCORE', its_queue, id) then orphan = orphan or id end
  end
end
if newest and not is_listed and is_live(newest) then
  live[#live + 1] = newest
  orphan = orphan or newest
end
local continued = string.match(continued_runs, '%S+$')
if #live == 0 then
  if continued and newest ~= continued then return {{'not_newest', '', '', 0}} end
elseif when_busy == 'supersede' and (not continued or newest == continued) then
  superseded = table.concat(live, ' ')
elseif when_busy ~= 'queue' or continued or orphan then
  return {{'occupied', orphan or live[1], '', 0}}
elseif #live > max_waiting then
  return {{'chat_queue', '', '', now - (redis.call('ZSCORE', chat_runs, live[1]) or now)}}
else
  waits_for = table.concat(live, ' ')
end
{CHECK_LIMITS}
"""

#: Admits a run that has been recorded. A chat without a newest run has no runs.
_ADMIT = """
redis.call('SET', chat, run_id, 'PX', ttl_ms)
local number = now
if newest then
  local last = redis.call('ZRANGE', chat_runs, -1, -1, 'WITHSCORES')[2]
  number = math.max(now, (tonumber(last) or 0) + 1)
  redis.call('ZREMRANGEBYSCORE', chat_runs, '-inf', now - 2 * ttl_ms)
end
redis.call('ZADD', chat_runs, number, run_id)
redis.call('PEXPIRE', chat_runs, ttl_ms)
redis.call('SET', job, payload, 'PX', ttl_ms)
redis.call('HSET', fair_job, 'owner', fair_owner, 'weight', weight, 'name', owner, 'plan', plan)
redis.call('PEXPIRE', fair_job, ttl_ms)
if waits_for ~= '' then
  redis.call('ZADD', queue, now + recheck_ms, run_id)
elseif superseded ~= '' then
  redis.call('ZADD', queue, now + supersede_ms, run_id)
else
  enter_for(fair_owner, weight, queue, run_id, now, ttl_ms)
  push_wakeup(wakeup, ttl_ms)
end
if waits_for == '' and listed_runs > 0 then redis.call('DEL', chat_queue) end
redis.call('RPUSH', chat_queue, run_id .. ' ' .. queue)
redis.call('PEXPIRE', chat_queue, ttl_ms)
redis.call('SET', chat_of(run_id), chat_queue, 'PX', ttl_ms)
publish_change(chat_queue)
if math.abs(now - (redis.call('ZSCORE', queue_names, queue_name) or 0)) > 1000 then
  redis.call('ZREMRANGEBYSCORE', queue_names, '-inf', now - ttl_ms)
  redis.call('ZADD', queue_names, now, queue_name)
  redis.call('PEXPIRE', queue_names, ttl_ms)
end
redis.call('ZREMRANGEBYSCORE', live_runs, '-inf', now - ttl_ms)
redis.call('ZADD', live_runs, now, run_id)
if max_owner_bytes > 0 then
  redis.call('HSET', owner_bytes, run_id, run_bytes, 'total', used_bytes + run_bytes)
  redis.call('ZADD', owner_stored, now + ttl_ms, run_id)
  for id in string.gmatch(continued_runs, '%S+') do
    redis.call('ZADD', owner_stored, 'XX', now + ttl_ms, id)
  end
  redis.call('PEXPIRE', owner_bytes, ttl_ms)
  redis.call('PEXPIRE', owner_stored, ttl_ms)
end
if webhook_check_ms > 0 then
  redis.call('ZADD', webhook_runs, now + webhook_check_ms, run_id)
  keep(webhook_runs, ttl_ms)
end
if interval > 0 then spent = take(rate, now_micros, interval, spent) end
if idempotency then
  redis.call('HSET', idempotency, 'run', run_id, 'fingerprint', fingerprint)
  redis.call('PEXPIRE', idempotency, ttl_ms)
end
redis.call('PEXPIRE', queue, ttl_ms)
redis.call('PEXPIRE', live_runs, ttl_ms)
return {'admitted', run_id, superseded, math.ceil(spent), usage}
"""


# For one server that holds everything: reads the hashes of other runs. `admission_mark` is the
# run's own hash.
@redis_script(
    CHAT_QUEUE,
    IS_PAUSED,
    LIMIT_FUNCTIONS,
    _STATE,
    """
local function run_key(id) return string.format(run_key_pattern, id) end
local function field(id, name)
  return redis.call('HGET', run_key(id), name) or ''
end
local function is_live(id)
  local state = field(id, 'state')
  return state == 'queued' or state == 'running'
end
local function has_ended(id) return not is_live(id) end
local function is_kept(id) return redis.call('EXISTS', run_key(id)) == 1 end
local function superseded_before() return field(run_id, 'supersedes') end
""",
    _CHECK,
    """
local run = admission_mark
redis.call('HSET', run, 'live_runs', live_runs, 'chat_key', chat, 'idempotency_key',
  idempotency or '', 'admitted_at', now, unpack(run_fields))
if waits_for ~= '' then redis.call('HSET', run, 'waits_for', waits_for) end
if superseded ~= '' then
  redis.call('HSET', run, 'supersedes', superseded)
  for id in string.gmatch(superseded, '%S+') do
    redis.call('HINCRBY', run_key(id), 'stop_requests', 1)
  end
end
redis.call('PEXPIRE', run, ttl_ms)
for id in string.gmatch(continued_runs, '%S+') do
  redis.call('PEXPIRE', run_key(id), ttl_ms)
  redis.call('PEXPIRE', string.format(stream_key_pattern, id), ttl_ms)
end
""",
    _ADMIT,
)
def admit(
    *,
    run_key_pattern: str,
    stream_key_pattern: str,
    run_fields: Arguments,
    **parameters: Unpack[AdmissionParameters],
) -> Reply: ...


# For split storage: the runs are on another server, so the caller passes what it read of them as
# `<run>=<live | ended | gone>`. Two more verdicts request more: `read_states` names runs to
# read, `store_run` requests that this run be stored, and names those too and the chat's live runs.
#
# `admission_mark` is a separate key. It holds the superseded runs, for as long as a call whose
# reply was lost may be repeated. A run without a job is not live, even if its end was not recorded
# here.
@redis_script(
    CHAT_QUEUE,
    IS_PAUSED,
    LIMIT_FUNCTIONS,
    _STATE,
    """
local known, unknown = {}, {}
for id, state in string.gmatch(known_states, '(%S+)=(%a+)') do known[id] = state end
local function state_of(id)
  if not known[id] then unknown[#unknown + 1] = id end
  return known[id]
end
local function is_live(id) return state_of(id) == 'live' end
local function has_ended(id) return (state_of(id) or 'live') ~= 'live' end
local function is_kept(id) return (state_of(id) or 'gone') ~= 'gone' end
local function superseded_before() return redis.call('GET', admission_mark) end
local function check()
""",
    _CHECK,
    """
end
local outcome = check()
if #unknown > 0 then
  return {outcome and 'read_states' or 'store_run', table.concat(unknown, ' '), '', 0}
end
if outcome then return outcome end
local others = superseded .. waits_for  -- at most one of them is not empty
if run_is_stored == 0 or (others ~= '' and others ~= stored_live) then
  return {'store_run', '', others, 0}
end
redis.call('SET', admission_mark, superseded, 'PX', mark_ttl_ms)
for _, id in ipairs(redis.call('ZRANGE', live_runs, 0, 15)) do
  if redis.call('EXISTS', string.format(job_key_pattern, id)) == 0 then
    redis.call('ZREM', live_runs, id)
  end
end
""",
    _ADMIT,
)
def admit_split(
    *,
    known_states: str,
    run_is_stored: int,
    stored_live: str,
    job_key_pattern: str,
    mark_ttl_ms: int,
    **parameters: Unpack[AdmissionParameters],
) -> Reply: ...
