"""The usage of owners in Redis: counted once, reserved, and reset with each period."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from shared.errors import Fenced
from shared.limits.budgets import BUDGETS, Amount
from shared.limits.usage_ledger import Account, Reservation, UsageLedger
from shared.redis import keys
from shared.redis.client import Redis
from shared.redis.scripts import Key, redis_script
from shared.settings import BudgetSettings
from tests.support.isolation.key_expiry import check_that_keys_expire
from tests.support.wait import until

OWNER = "jwt::ann"
ACCOUNT = Account(OWNER, "premium", "run-1", 1)
OTHER = ACCOUNT._replace(run_id="run-2")
BUDGET = BudgetSettings.model_validate({"tokens": {"day": 1000}, "cost": {"month": 1}})


@redis_script(
    BUDGETS,
    """
local periods = periods_at(seconds)
return {periods[1][1], periods[1][2], periods[2][1], periods[2][2], periods[3][1], periods[3][2]}
""",
)
def periods_at(*, unused: Key, seconds: int) -> list[int]: ...


@pytest.fixture
def ledger(redis: Redis) -> UsageLedger:
    return UsageLedger(redis, live_ttl=600)


async def used(ledger: UsageLedger) -> list[Amount]:
    return [period.used for period in (await ledger.read(OWNER)).report.periods]


async def reserve(
    ledger: UsageLedger, account: Account, tokens: int, *, seconds: float = 60
) -> Reservation:
    return await ledger.start_request(
        account, Amount(), Amount(tokens), Amount(), BUDGET, seconds=seconds
    )


async def test_periods_are_calendar_periods(redis: Redis) -> None:
    moment = datetime(2026, 1, 1, 12, 34, 56, tzinfo=UTC)
    while moment.year < 2042:
        day = moment.replace(hour=0, minute=0, second=0)
        month = day.replace(day=1)
        next_month = (month + timedelta(days=31)).replace(day=1)
        hour = moment.replace(minute=0, second=0)
        bounds = [
            *(hour, hour + timedelta(hours=1)),
            *(day, day + timedelta(days=1)),
            *(month, next_month),
        ]

        found = await periods_at(redis, unused="x", seconds=int(moment.timestamp()))

        assert found == [int(bound.timestamp()) for bound in bounds], moment
        moment += timedelta(days=9, hours=7)


async def test_repeated_call_counts_once(ledger: UsageLedger) -> None:
    for _ in range(2):
        await ledger.count(ACCOUNT, Amount(100, 7))
    await ledger.count(ACCOUNT, Amount(130, 9))
    await ledger.count(ACCOUNT._replace(attempt=2), Amount(10, 1))

    assert await used(ledger) == [Amount(140, 10)] * 3


async def test_estimate_is_corrected(ledger: UsageLedger) -> None:
    await ledger.count(ACCOUNT, Amount(100, 7))
    await ledger.count(ACCOUNT, Amount(60, 5))

    assert await used(ledger) == [Amount(60, 5)] * 3


async def test_usage_resets_with_each_period(ledger: UsageLedger, redis: Redis) -> None:
    await ledger.count(ACCOUNT, Amount(100))
    await redis.execute_command("HINCRBY", keys.owner_usage(OWNER), "hour", -3600)

    assert await used(ledger) == [Amount(0), Amount(100), Amount(100)]
    await ledger.count(ACCOUNT, Amount(120))
    assert await used(ledger) == [Amount(20), Amount(120), Amount(120)]


async def test_correction_does_not_count_in_a_later_period(
    ledger: UsageLedger, redis: Redis
) -> None:
    await ledger.count(ACCOUNT, Amount(1000, 20))
    counted, field = keys.counted_usage(ACCOUNT.run_id), "1 before hour"
    start, before = (await redis.execute_command("HGET", counted, field)).split(maxsplit=1)
    await redis.execute_command("HSET", counted, field, b"%d %b" % (int(start) - 3600, before))
    await redis.execute_command("HINCRBY", keys.owner_usage(OWNER), "hour", -3600)
    await ledger.count(OTHER, Amount(300, 6))

    await ledger.count(ACCOUNT, Amount(400, 8))

    assert await used(ledger) == [Amount(300, 6), Amount(700, 14), Amount(700, 14)]
    await ledger.count(ACCOUNT, Amount(1100, 22))
    assert await used(ledger) == [Amount(400, 8), Amount(1400, 28), Amount(1400, 28)]


async def test_used_up_budget_refuses_requests(ledger: UsageLedger) -> None:
    await ledger.count(ACCOUNT, Amount(1000, 999_999_999))
    refused = await reserve(ledger, OTHER, 1)
    assert refused.used_up is not None
    assert (refused.used_up.period, refused.used_up.unit) == ("day", "tokens")

    await ledger.count(ACCOUNT, Amount(1000, 1_000_000_000))

    refused = await reserve(ledger, OTHER, 1)
    assert refused.used_up is not None
    assert (refused.used_up.period, refused.used_up.unit) == ("month", "cost")
    assert not refused.may_wait


async def test_requests_share_the_rest_of_a_budget(ledger: UsageLedger) -> None:
    assert (await reserve(ledger, ACCOUNT, 1000)).tokens == 1000
    refused = await reserve(ledger, OTHER, 1)
    assert refused.may_wait

    await ledger.count(ACCOUNT, Amount(40))

    assert (await reserve(ledger, OTHER, 1)).tokens == 1


async def test_parallel_requests_reserve_no_more_than_the_budget(ledger: UsageLedger) -> None:
    accounts = [ACCOUNT._replace(run_id=f"run-{number}") for number in range(30)]

    found = await asyncio.gather(*(reserve(ledger, account, 300) for account in accounts))

    assert sum(reservation.tokens for reservation in found) == 1200


async def test_reservation_of_a_dead_worker_expires(ledger: UsageLedger) -> None:
    await reserve(ledger, ACCOUNT, 1000, seconds=0.2)

    async def is_granted() -> bool:
        return (await reserve(ledger, OTHER, 1)).used_up is None

    await until(is_granted)


async def test_next_attempt_replaces_the_reservation(ledger: UsageLedger) -> None:
    await reserve(ledger, ACCOUNT, 1000)

    assert (await reserve(ledger, ACCOUNT._replace(attempt=2), 1000)).used_up is None


async def test_calls_of_an_attempt_that_lost_its_run_change_nothing(
    ledger: UsageLedger, redis: Redis
) -> None:
    later = ACCOUNT._replace(attempt=2)
    await ledger.count(ACCOUNT, Amount(100))
    await ledger.count(later, Amount(40), earlier_attempt=1)
    await reserve(ledger, later, 300)
    reserved = await redis.execute_command("HGETALL", keys.reserved_usage(OWNER))

    with pytest.raises(Fenced):
        await ledger.count(ACCOUNT, Amount(500), finished=Amount(500))
    with pytest.raises(Fenced):
        await reserve(ledger, ACCOUNT, 10)
    with pytest.raises(Fenced):
        await ledger.keep_request(
            ACCOUNT, Amount(500), Amount(10), BUDGET, extends=False, seconds=60
        )

    assert await used(ledger) == [Amount(40)] * 3
    assert await redis.execute_command("HGETALL", keys.reserved_usage(OWNER)) == reserved


async def test_request_reserves_the_mean_of_earlier_ones(ledger: UsageLedger) -> None:
    await ledger.count(ACCOUNT, Amount(200), finished=Amount(200))

    assert (await reserve(ledger, OTHER, 500)).tokens == 200


async def test_running_request_is_refused_only_if_it_needs_more(ledger: UsageLedger) -> None:
    await reserve(ledger, ACCOUNT, 600)
    await reserve(ledger, OTHER, 400)

    async def keep(tokens: int, *, extends: bool) -> Reservation:
        return await ledger.keep_request(
            ACCOUNT, Amount(tokens), Amount(100), BUDGET, extends=extends, seconds=60
        )

    assert (await keep(500, extends=False)).used_up is None
    assert (await keep(600, extends=True)).used_up is not None
    assert (await keep(1000, extends=False)).used_up is not None
    assert await used(ledger) == [Amount(1000)] * 3


async def test_owners_are_listed_with_their_plan(ledger: UsageLedger) -> None:
    names = [f"jwt::{number}" for number in range(3)]
    for name in names:
        await ledger.count(ACCOUNT._replace(owner=name, run_id=name), Amount(5))

    found = await ledger.read_many(await ledger.owners())

    assert {usage.owner for usage in found} == {*names}
    assert {usage.plan for usage in found} == {"premium"}
    assert {usage.report.periods[0].used for usage in found} == {Amount(5)}


async def test_all_keys_expire(ledger: UsageLedger, redis: Redis) -> None:
    await reserve(ledger, OTHER, 10)
    await ledger.count(ACCOUNT, Amount(100), finished=Amount(100))
    await reserve(ledger, ACCOUNT._replace(attempt=2, run_id="run-3"), 10)

    await check_that_keys_expire(redis)
