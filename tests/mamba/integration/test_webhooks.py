"""`mamba webhook` lists undelivered webhooks and sends them again."""

import json
from collections.abc import AsyncGenerator

import pytest

from mamba.cli_errors import CommandFailed
from mamba.operate.deployment import Deployment, open_deployment
from mamba.operate.doctor.webhook_checks import check_webhooks
from mamba.operate.webhooks import list_webhooks, resend, resend_failed, show
from shared.queue.operator_actions import OperatorActions
from shared.redis import keys
from shared.redis.client import Redis
from shared.runs.finalize import RunEnding, RunFinalizer
from shared.settings import LimitSettings, RedisSettings, Settings, WebhookSettings
from shared.webhooks.event import WebhookEvent
from shared.webhooks.store import DueWebhook, WebhookStore
from tests.support.fakes.runs import job_of, new_run
from tests.support.processes import Valkey
from tests.support.webhook_receiver import SECRET


@pytest.fixture
async def operated(valkey: Valkey, redis: Redis) -> AsyncGenerator[Deployment]:  # noqa: ARG001
    destination = {"url": "http://127.0.0.1:9/", "secret": SECRET}
    names: list[str] = ["app", "crm"]
    webhooks = dict.fromkeys(names, WebhookSettings.model_validate(destination))
    settings = Settings(redis=RedisSettings(url=valkey.url), webhooks=webhooks)
    async with open_deployment(settings) as deployment:
        yield deployment


async def _give_up(redis: Redis, run_id: str, destination: str = "app") -> WebhookStore:
    """Store a webhook for both destinations that one of them has rejected."""
    store = WebhookStore(redis)
    await redis.execute_command("ZADD", keys.WEBHOOK_RUNS, 1, run_id)
    event = WebhookEvent(run_id, "run.failed", 1_000, {"secret": "x"})
    assert await store.store(event, ["app", "crm"]) == "whole"
    await _fail(redis, run_id, destination, "410", retry_in=None)
    return store


async def _fail(
    redis: Redis, run_id: str, destination: str, result: str, *, retry_in: float | None
) -> None:
    since = await redis.execute_command("HGET", keys.webhook(run_id), f"since:{destination}")
    webhook = DueWebhook(run_id, b"", failed_attempts=0, since=int(since), age_ms=0)
    store = WebhookStore(redis)
    assert await store.failed(webhook, destination, result=result, retry_in=retry_in)


async def test_list_shows_states_and_results_without_content(
    operated: Deployment, redis: Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    await _give_up(redis, "r1")

    await list_webhooks(operated, destination=None, limit=10, as_json=False)
    text = capsys.readouterr().out
    await list_webhooks(operated, destination=None, limit=10, as_json=True)
    found = json.loads(capsys.readouterr().out)

    assert "r1" in text
    assert "410" in text
    assert "secret" not in text
    assert found["destinations"]["app"] == {"pending": 0, "retrying": 0, "failed": 1}
    assert found["destinations"]["crm"] == {"pending": 1, "retrying": 0, "failed": 0}
    states = {row["destination"]: (row["state"], row["result"]) for row in found["webhooks"]}
    assert states == {"app": ("failed", "410"), "crm": ("pending", None)}


async def test_webhook_that_fails_repeatedly_counts_as_retrying(
    operated: Deployment, redis: Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    await _give_up(redis, "r1")
    await _fail(redis, "r1", "crm", "500", retry_in=120)

    await list_webhooks(operated, destination="crm", limit=10, as_json=True)

    found = json.loads(capsys.readouterr().out)
    assert found["destinations"] == {"crm": {"pending": 0, "retrying": 1, "failed": 0}}


async def test_show_names_who_has_not_received_it(
    operated: Deployment, redis: Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    store = await _give_up(redis, "r1")
    await store.delivered("r1", "crm")

    await show(operated, "r1", as_json=True)

    [row] = json.loads(capsys.readouterr().out)
    assert (row["destination"], row["attempts"], row["next_at"]) == ("app", 1, None)
    with pytest.raises(CommandFailed, match="No destination is waiting"):
        await show(operated, "r2", as_json=False)


async def test_resent_webhook_is_due_with_new_attempts(operated: Deployment, redis: Redis) -> None:
    store = await _give_up(redis, "r1")
    assert await store.claim("app", 10) == []

    await resend(operated, "r1", "app")

    [webhook] = await store.claim("app", 10)
    assert webhook.failed_attempts == 0
    assert webhook.age_ms < 60_000
    assert await redis.execute_command("ZCARD", keys.webhook_failed("app")) == 0
    [action] = await OperatorActions(redis).take()
    assert action.event == "ops.webhook_resent"
    assert action.fields == {"run_id": "r1", "destination": "app"}


async def test_all_failed_webhooks_are_resent(operated: Deployment, redis: Redis) -> None:
    await _give_up(redis, "r1")
    store = await _give_up(redis, "r2", "crm")

    await resend_failed(operated, None)

    for destination in ("app", "crm"):
        due = await store.claim(destination, 10)
        assert {webhook.run_id for webhook in due} == {"r1", "r2"}
        assert await redis.execute_command("ZCARD", keys.webhook_failed(destination)) == 0


async def test_delivered_webhook_is_resent_from_its_run(operated: Deployment, redis: Redis) -> None:
    run, stores = new_run("r1"), operated.stores
    await stores.admission.admit(run, job_of(run), LimitSettings())
    with pytest.raises(CommandFailed, match="the run has not ended"):
        await resend(operated, "r1", None)
    finalizer = RunFinalizer(stores.stream, stores.ended_runs, operated.queue)
    await finalizer.end(run, RunEnding.cancelled())

    await resend(operated, "r1", None)

    assert await WebhookStore(redis).claim_runs(10) == ["r1"]


async def test_wrong_destination_is_named(operated: Deployment) -> None:
    with pytest.raises(CommandFailed, match="No destination is named 'other'"):
        await resend(operated, "r1", "other")


async def test_deployment_without_destinations_is_reported(deployment: Deployment) -> None:
    with pytest.raises(CommandFailed, match="No destination of webhooks is configured"):
        await list_webhooks(deployment, destination=None, limit=1, as_json=False)


async def test_doctor_reports_what_was_given_up(operated: Deployment, redis: Redis) -> None:
    await _give_up(redis, "r1")

    app, crm = await check_webhooks(operated)

    assert (app.status, app.message) == ("warning", "0 fail repeatedly, 1 were given up")
    assert (crm.status, crm.message) == ("ok", "1 pending")


async def test_doctor_reports_a_host_that_does_not_resolve(valkey: Valkey, redis: Redis) -> None:  # noqa: ARG001
    destination = WebhookSettings.model_validate({"url": "https://no.invalid/", "secret": SECRET})
    settings = Settings(redis=RedisSettings(url=valkey.url), webhooks={"app": destination})

    async with open_deployment(settings) as deployment:
        [finding] = await check_webhooks(deployment)

    assert finding.status == "warning"
    assert finding.message == "the host no.invalid cannot be resolved here; 0 pending"
