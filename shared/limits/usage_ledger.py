"""Counts what owners use against their budgets, on the queue's server.

The usage of each attempt of a run is stored as an absolute amount, and the difference to the stored
amount is added to the owner's periods. So a repeated call changes nothing, and a later attempt can
correct what a killed one has counted. A correction changes only the periods in which the corrected
amount was counted.

Before a model request, a worker reserves what it will probably use, so parallel runs of an owner
cannot all use the rest of the budget. A reservation expires if its worker dies.

The first call of an attempt fences off the earlier attempts of its run. Their later calls, such as
those of a worker that was suspended, change nothing.
"""

from collections.abc import Sequence
from typing import NamedTuple, TypedDict, Unpack

from shared.errors import Fenced
from shared.limits.budgets import BUDGETS, Amount, UsageReport, UsedUp, encode_budget
from shared.limits.reservations import RESERVATIONS
from shared.redis import keys
from shared.redis.client import Redis
from shared.redis.scripts import Key, redis_script
from shared.settings import BudgetSettings

#: The longest period. Later, an owner has used nothing.
_KEPT_MS = 31 * 86_400_000
#: How many owners are read in one round trip.
_PAGE = 500

_NOTHING = Amount()

#: The number of a budget, whether it is used up even without reservations, the reserved tokens, and
#: a report.
_Reply = tuple[int, int, int, bytes]
#: Takes the place of a budget's number if a later attempt has called.
_FENCED = -1


class Account(NamedTuple):
    """An attempt of a run, and the owner whose budget it uses."""

    owner: str
    plan: str | None
    run_id: str
    attempt: int


class Reservation(NamedTuple):
    """The tokens that a model request may use, or the budget that refuses it."""

    tokens: int
    used_up: UsedUp | None = None
    #: Whether the owner's other running requests may return enough of their reservations.
    may_wait: bool = False


class OwnerUsage(NamedTuple):
    """What an owner has used."""

    owner: str
    plan: str | None
    report: UsageReport


class _Target(TypedDict):
    """The keys and names of an account."""

    usage: Key
    reserved: Key
    reservations: Key
    counted: Key
    owners: Key
    owner: str
    plan: str
    run_id: str
    caller: int


class _Amounts(TypedDict):
    tokens: int
    cost: int
    reserved_tokens: int
    reserved_cost: int
    reserved_ms: int
    counted_ms: int
    kept_ms: int


class _AccountParameters(_Target, _Amounts):
    pass


class UsageLedger:
    """The usage of all owners."""

    def __init__(self, redis: Redis, *, live_ttl: float) -> None:
        self._redis = redis
        self._live_ttl_ms = int(live_ttl * 1000)

    async def count(
        self,
        account: Account,
        used: Amount,
        *,
        finished: Amount = _NOTHING,
        earlier_attempt: int | None = None,
    ) -> None:
        """Store what an attempt has used, and remove its run's reservation.

        `finished` is what a model request that has just ended used. It changes the mean. With
        `earlier_attempt`, stores what that attempt has used instead.

        Raises:
            Fenced: if a later attempt of the run has called.
        """
        reply = await _account(
            self._redis,
            **_target(account),
            **self._amounts(used, _NOTHING, 0),
            attempt=earlier_attempt or account.attempt,
            step="count",
            budget="",
            least_tokens=0,
            least_cost=0,
            finished_tokens=finished.tokens,
            finished_cost=finished.cost,
        )
        _check_fence(reply)

    async def start_request(
        self,
        account: Account,
        used: Amount,
        expected: Amount,
        least: Amount,
        budget: BudgetSettings,
        *,
        seconds: float,
    ) -> Reservation:
        """Reserve what a model request will probably use, unless the budget is used up.

        Once the owner's requests have a mean, reserves the mean instead of `expected`, but at least
        `least`.

        Raises:
            Fenced: if a later attempt of the run has called.
        """
        return await self._reserve(
            account, used, expected, budget, step="start", seconds=seconds, least=least
        )

    async def keep_request(
        self,
        account: Account,
        used: Amount,
        reserved: Amount,
        budget: BudgetSettings,
        *,
        extends: bool,
        seconds: float,
    ) -> Reservation:
        """Count what an attempt has used, and replace the reservation of its model request.

        Refuses if the budget is used up. If the request `extends` its reservation, those of the
        owner's other requests count, too.

        Raises:
            Fenced: if a later attempt of the run has called.
        """
        step = "extend" if extends else "keep"
        return await self._reserve(account, used, reserved, budget, step=step, seconds=seconds)

    async def _reserve(
        self,
        account: Account,
        used: Amount,
        reserved: Amount,
        budget: BudgetSettings,
        *,
        step: str,
        seconds: float,
        least: Amount = _NOTHING,
    ) -> Reservation:
        reply = await _account(
            self._redis,
            **_target(account),
            **self._amounts(used, reserved, seconds),
            attempt=account.attempt,
            step=step,
            budget=encode_budget(budget),
            least_tokens=least.tokens,
            least_cost=least.cost,
            finished_tokens=0,
            finished_cost=0,
        )
        _check_fence(reply)
        number, is_final, tokens, text = reply
        if not number:
            return Reservation(tokens)
        used_up = UsedUp.of(number, budget, UsageReport.parse(text.decode()))
        return Reservation(0, used_up, may_wait=not is_final)

    async def read(self, owner: str) -> OwnerUsage:
        """Return what an owner has used."""
        plan, text = await _read(self._redis, usage=keys.owner_usage(owner))
        return _owner_usage(owner, plan, text)

    async def owners(self) -> list[str]:
        """Return the owners who have used something within the longest period, newest first."""
        found: list[bytes] = await self._redis.execute_command(
            "ZRANGE", keys.USAGE_OWNERS, 0, -1, "REV"
        )
        return [owner.decode(errors="replace") for owner in found]

    async def read_many(self, owners: Sequence[str]) -> list[OwnerUsage]:
        """Return what these owners have used."""
        found: list[OwnerUsage] = []
        for start in range(0, len(owners), _PAGE):
            page = owners[start : start + _PAGE]
            found.append(await self.read(page[0]))  # ensures that the server has the script
            async with self._redis.pipeline(transaction=False) as pipe:
                for owner in page[1:]:
                    _read.add_to(pipe, usage=keys.owner_usage(owner))
                replies = await pipe.execute()
            found += [_owner_usage(o, *reply) for o, reply in zip(page[1:], replies, strict=True)]
        return found

    def _amounts(self, used: Amount, reserved: Amount, seconds: float) -> "_Amounts":
        return {
            "tokens": used.tokens,
            "cost": used.cost,
            "reserved_tokens": reserved.tokens,
            "reserved_cost": reserved.cost,
            "reserved_ms": int(seconds * 1000),
            "counted_ms": self._live_ttl_ms,
            "kept_ms": _KEPT_MS,
        }


def _target(account: Account) -> _Target:
    return {
        "usage": keys.owner_usage(account.owner),
        "reserved": keys.reserved_usage(account.owner),
        "reservations": keys.reservations(account.owner),
        "counted": keys.counted_usage(account.run_id),
        "owners": keys.USAGE_OWNERS,
        "owner": account.owner,
        "plan": account.plan or "",
        "run_id": account.run_id,
        "caller": account.attempt,
    }


def _check_fence(reply: _Reply) -> None:
    if reply[0] == _FENCED:
        raise Fenced


def _owner_usage(owner: str, plan: bytes, text: bytes) -> OwnerUsage:
    return OwnerUsage(
        owner, plan.decode(errors="replace") or None, UsageReport.parse(text.decode())
    )


# `attempt` is the attempt that has used the tokens, and `caller` the one that reports it. Returns
# the number of the budget that refuses the reservation or 0, whether that budget is used up even
# without the other reservations, the reserved tokens, and a report.
@redis_script(
    BUDGETS,
    RESERVATIONS,
    f"""
local newest = tonumber(redis.call('HGET', counted, 'newest') or '1')
if caller < newest then return {{{_FENCED}, 0, 0, ''}} end
if caller > newest then
  redis.call('HSET', counted, 'newest', caller)
  keep(counted, counted_ms)
end
""",
    """
local now = now_ms()
local seconds = math.floor(now / 1000)
local periods = periods_at(seconds)
local used = used_in(usage, periods)

-- Returns what the attempt had used before a period. A correction of that does not count in it.
local function used_before(name, start, old_tokens, old_cost)
  local field = attempt .. ' before ' .. name
  local stored = redis.call('HGET', counted, field) or ''
  local of, before_tokens, before_cost = string.match(stored, '(%d+) (%d+) (%d+)')
  if tonumber(of or '') == start then return tonumber(before_tokens), tonumber(before_cost) end
  redis.call('HSET', counted, field, string.format('%d %d %d', start, old_tokens, old_cost))
  return old_tokens, old_cost
end

local function change(new, old, before) return math.max(new, before) - math.max(old, before) end

local function add(old_tokens, old_cost)
  local fields = {'plan', plan}
  for i, name in ipairs({'hour', 'day', 'month'}) do
    local before_tokens, before_cost = used_before(name, periods[i][1], old_tokens, old_cost)
    local more_tokens = change(tokens, old_tokens, before_tokens)
    used[2 * i - 1] = math.max(0, used[2 * i - 1] + more_tokens)
    used[2 * i] = math.max(0, used[2 * i] + change(cost, old_cost, before_cost))
    for field, number in pairs({[name] = periods[i][1], [name .. '_tokens'] = used[2 * i - 1],
        [name .. '_cost'] = used[2 * i]}) do
      fields[#fields + 1] = field
      fields[#fields + 1] = string.format('%d', number)
    end
  end
  redis.call('HSET', usage, unpack(fields))
  redis.call('PEXPIRE', usage, kept_ms)
  redis.call('ZREMRANGEBYSCORE', owners, '-inf', now - kept_ms)
  redis.call('ZADD', owners, now, owner)
  redis.call('PEXPIRE', owners, kept_ms)
end

local function count_usage()
  local old_tokens, old_cost = amount_in(counted, attempt)
  if tokens == old_tokens and cost == old_cost then return end
  add(old_tokens, old_cost)
  redis.call('HSET', counted, attempt, amount_text(tokens, cost))
  redis.call('PEXPIRE', counted, counted_ms)
end

local function reserve(tokens, cost)
  set_reservation(run_id, tokens, cost, now + reserved_ms)
  for _, key in ipairs({reserved, reservations}) do keep(key, reserved_ms) end
  return {0, 0, tokens, ''}
end

local function update_mean()
  local mean_tokens, mean_cost = amount_in(usage, 'mean')
  if mean_tokens == 0 then mean_tokens, mean_cost = finished_tokens, finished_cost end
  redis.call('HSET', usage, 'mean', amount_text(mean_tokens + (finished_tokens - mean_tokens) / 4,
    mean_cost + (finished_cost - mean_cost) / 4))
  redis.call('PEXPIRE', usage, kept_ms)
end

count_usage()
if finished_tokens > 0 then update_mean() end
set_reservation(run_id, 0, 0)
if step == 'count' then return {0, 0, 0, ''} end
local limits = split_limits(budget)
local number = used_up(limits, used, 0, 0)
local is_final = number and 1 or 0
if not number and step ~= 'keep' then number = used_up(limits, used, total_reserved(now)) end
if number then return {number, is_final, 0, usage_report(seconds, periods, used)} end
local mean_tokens, mean_cost = amount_in(usage, 'mean')
if step == 'start' and mean_tokens > 0 then
  return reserve(math.max(least_tokens, mean_tokens), math.max(least_cost, mean_cost))
end
return reserve(reserved_tokens, reserved_cost)
""",
    when_full=True,
)
def _account(
    *,
    attempt: int,
    step: str,
    budget: str,
    least_tokens: int,
    least_cost: int,
    finished_tokens: int,
    finished_cost: int,
    **parameters: Unpack[_AccountParameters],
) -> _Reply: ...


# Returns the owner's plan, and a report.
@redis_script(
    BUDGETS,
    """
local seconds = math.floor(now_ms() / 1000)
local periods = periods_at(seconds)
local plan = redis.call('HGET', usage, 'plan') or ''
return {plan, usage_report(seconds, periods, used_in(usage, periods))}
""",
)
def _read(*, usage: Key) -> tuple[bytes, bytes]: ...
