"""The budgets of an owner: tokens and cost per hour, day, and month, counted in Redis.

Periods start at full hours, at midnight, and on the first of the month, in UTC by the clock of
Redis. Costs are whole billionths of a US dollar in Redis, because Lua adds integers exactly.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Literal, NamedTuple, Self

from shared.errors import BudgetExceeded
from shared.rate_limit_status import RateLimitStatus
from shared.settings import BudgetSettings

Period = Literal["hour", "day", "month"]
Unit = Literal["tokens", "cost"]

PERIODS: tuple[Period, ...] = ("hour", "day", "month")
#: The order of budgets in the scripts.
_BUDGETS: tuple[tuple[Period, Unit], ...] = tuple(
    (period, unit) for period in PERIODS for unit in ("tokens", "cost")
)
_BILLION = 1_000_000_000

#: Lua that reads and checks what an owner has used. `used` is a table of six numbers: the tokens
#: and the cost of the hour, the day, and the month. `limits` has the same order, `-` for no limit.
#: A period is its start and end, in seconds.
BUDGETS = """
local function days_of(year, month)
  if month == 2 then return year % 4 == 0 and 29 or 28 end
  return (month == 4 or month == 6 or month == 9 or month == 11) and 30 or 31
end
local function month_of(day)
  local year, month, first = 2026, 1, 20454
  while day >= first + days_of(year, month) do
    first = first + days_of(year, month)
    month = month + 1
    if month > 12 then year, month = year + 1, 1 end
  end
  return first, first + days_of(year, month)
end
local function periods_at(now)
  local hour, day = math.floor(now / 3600), math.floor(now / 86400)
  local first, next_first = month_of(day)
  return {{hour * 3600, (hour + 1) * 3600}, {day * 86400, (day + 1) * 86400},
    {first * 86400, next_first * 86400}}
end
local function used_in(usage, periods)
  local used = {}
  local stored = redis.call('HMGET', usage, 'hour', 'hour_tokens', 'hour_cost',
    'day', 'day_tokens', 'day_cost', 'month', 'month_tokens', 'month_cost')
  for i, period in ipairs(periods) do
    local is_current = tonumber(stored[3 * i - 2] or '') == period[1]
    used[2 * i - 1] = is_current and tonumber(stored[3 * i - 1]) or 0
    used[2 * i] = is_current and tonumber(stored[3 * i]) or 0
  end
  return used
end
-- Returns the budget that is used up with these further tokens and cost, the last to reset first.
local function used_up(limits, used, tokens, cost)
  for i = 6, 1, -1 do
    local limit = tonumber(limits[i] or '-')
    if limit and used[i] + (i % 2 == 1 and tokens or cost) >= limit then return i end
  end
end
local function split_limits(text)
  local limits = {}
  for limit in string.gmatch(text, '%S+') do limits[#limits + 1] = limit end
  return limits
end
local function usage_report(now, periods, used)
  local numbers = {string.format('%d', now)}
  for i, period in ipairs(periods) do
    for _, number in ipairs({period[1], period[2], used[2 * i - 1], used[2 * i]}) do
      numbers[#numbers + 1] = string.format('%d', number)
    end
  end
  return table.concat(numbers, ' ')
end
"""


class Amount(NamedTuple):
    """Tokens, and their cost in billionths of a US dollar."""

    tokens: int = 0
    cost: int = 0

    @classmethod
    def of(cls, tokens: int, dollars: Decimal | float | None) -> Self:
        """Return an amount. An unknown cost is counted as 0."""
        return cls(tokens, round((dollars or 0) * _BILLION))

    @property
    def dollars(self) -> float:
        return self.cost / _BILLION


class PeriodUsage(NamedTuple):
    """What an owner has used in the current period. Times are Unix seconds."""

    period: Period
    starts_at: int
    ends_at: int
    used: Amount


class UsageReport(NamedTuple):
    """What an owner has used in the current hour, day, and month, at a time by Redis's clock."""

    now: int
    periods: tuple[PeriodUsage, ...]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse the text of the Lua function `usage_report`."""
        now, *numbers = map(int, text.split())
        rows = (numbers[4 * index : 4 * index + 4] for index in range(len(PERIODS)))
        return cls(
            now,
            tuple(
                PeriodUsage(period, start, end, Amount(tokens, cost))
                for period, (start, end, tokens, cost) in zip(PERIODS, rows, strict=True)
            ),
        )

    def statuses(self, budget: BudgetSettings) -> Iterator[RateLimitStatus]:
        """Yield the state of each budget that is set."""
        for usage in self.periods:
            for unit in ("tokens", "cost"):
                if (limit := _limit(budget, usage.period, unit)) is not None:
                    yield self._status(usage, unit, limit)

    def _status(self, usage: PeriodUsage, unit: Unit, limit: int) -> RateLimitStatus:
        scale, name = (1, "tokens") if unit == "tokens" else (1000, "micro-usd")
        return RateLimitStatus(
            f"{unit}-{usage.period}",
            limit // scale,
            max(0, limit - getattr(usage.used, unit)) // scale,
            window=usage.ends_at - usage.starts_at,
            reset=usage.ends_at - self.now,
            unit=name,
        )


class UsedUp(NamedTuple):
    """A budget that is used up."""

    period: Period
    unit: Unit
    limit: int
    #: Unix seconds.
    resets_at: int
    seconds: int

    @classmethod
    def of(cls, number: int, budget: BudgetSettings, report: UsageReport) -> Self:
        """`number` is the one that the Lua function `used_up` returns."""
        period, unit = _BUDGETS[number - 1]
        usage = report.periods[PERIODS.index(period)]
        limit = _limit(budget, period, unit) or 0
        return cls(period, unit, limit, usage.ends_at, usage.ends_at - report.now)

    def __str__(self) -> str:
        amount = f"{self.limit:,} tokens" if self.unit == "tokens" else _dollars(self.limit)
        reset = datetime.fromtimestamp(self.resets_at, UTC)
        return (
            f"Your budget of {amount} per {self.period} is used up."
            f" It resets at {reset:%Y-%m-%d %H:%M} UTC."
        )

    def refusal(self, budget: BudgetSettings, report: UsageReport) -> BudgetExceeded:
        policy = f"{self.unit}-{self.period}"
        status = next(s for s in report.statuses(budget) if s.policy == policy)
        return BudgetExceeded(str(self), retry_after=self.seconds, rate_limit=status)


def encode_budget(budget: BudgetSettings | None) -> str:
    """Return the limits for the Lua function `split_limits`, or '' if there is none."""
    limits = _limits(budget) if budget else ()
    if all(limit is None for limit in limits):
        return ""
    return " ".join("-" if limit is None else str(limit) for limit in limits)


def _limits(budget: BudgetSettings) -> Sequence[int | None]:
    return [_limit(budget, period, unit) for period, unit in _BUDGETS]


def _limit(budget: BudgetSettings, period: Period, unit: Unit) -> int | None:
    """Return a limit in the unit of Redis."""
    limit: float | None = getattr(getattr(budget, unit), period)
    if limit is None or unit == "tokens":
        return None if limit is None else int(limit)
    return round(limit * _BILLION)


def _dollars(cost: int) -> str:
    text = f"{cost / _BILLION:,.6f}".rstrip("0")
    whole, _, cents = text.partition(".")
    return f"${whole}.{cents:0<2}"
