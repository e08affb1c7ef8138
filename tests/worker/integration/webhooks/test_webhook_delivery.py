"""Delivery of webhooks by workers, with a receiver that fails in every way."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest
from redis.exceptions import ResponseError
from structlog.testing import capture_logs

from shared.redis import keys
from shared.redis.client import Redis
from shared.runs.ended_runs import EndedRuns
from shared.runs.finalize import RunEnding, RunFinalizer
from shared.runs.run import Run
from shared.settings import Settings, WebhookSettings
from shared.settings.live_settings import LiveSettings
from shared.streams.event_stream import Append, EventStream
from shared.streams.events import TextDelta, TextEnd, TextStart
from shared.webhooks import event as event_module
from shared.webhooks.event import WebhookEvent
from shared.webhooks.store import WebhookStore
from tests.support.admission_harness import AdmissionHarness, stores
from tests.support.wait import until
from tests.support.webhook_receiver import (
    OK,
    SECRET,
    Behavior,
    WebhookReceiver,
    response,
    webhook_receiver,
)
from worker.webhooks import delivery as delivery_module
from worker.webhooks.delivery import WebhookDelivery

OTHER_SECRET = "whsec_" + "Y" * 43


@dataclass
class WebhookHarness:
    """Runs on Redis, and workers that deliver their webhooks."""

    redis: Redis
    stack: AsyncExitStack
    harness: AdmissionHarness
    webhooks: dict[str, WebhookSettings] = field(default_factory=dict[str, WebhookSettings])

    async def receiver(self, *script: Behavior, name: str = "app", **more: Any) -> WebhookReceiver:
        receiver = await self.stack.enter_async_context(webhook_receiver(*script))
        fields = {"url": receiver.url, "secret": SECRET, "timeout_seconds": 2, **more}
        self.webhooks[name] = WebhookSettings.model_validate(fields)
        return receiver

    async def worker(self, stream: EventStream | None = None) -> WebhookDelivery:
        delivery = WebhookDelivery(
            WebhookStore(self.redis),
            self.harness.runs,
            stream or self.harness.stream,
            LiveSettings(Settings(webhooks=self.webhooks)),
        )
        return await self.stack.enter_async_context(delivery)

    async def start(self, run_id: str, text: str = "Hello") -> Run:
        await self.harness.admit(run_id, webhooks=True)
        takeover = await self.harness.stream.take_over(run_id)
        events = [
            TextStart(id="t"),
            TextDelta(id="t", delta=text),
            TextEnd(id="t"),
        ]
        entries = [event.encode() for event in events]
        await self.harness.stream.append(Append(run_id, takeover.attempt, 1, entries))
        run = await self.harness.runs.get(run_id)
        assert run is not None
        return run

    async def end(self, run: Run, ending: RunEnding | None = None) -> None:
        """End a run as any process does."""
        finalizer = RunFinalizer(self.harness.stream, self.harness.ended_runs)
        assert await finalizer.end(run, ending or RunEnding.succeeded("stop"))

    async def is_empty(self) -> bool:
        return await self.redis.execute_command("KEYS", "mamba:webhooks*") == []

    async def make_all_due(self) -> None:
        """Let the time of all retries and leases pass."""
        names = [keys.WEBHOOK_RUNS, *map(keys.webhook_due, self.webhooks)]
        for name in names:
            for run_id in await self.redis.execute_command("ZRANGE", name, 0, -1):
                await self.redis.execute_command("ZADD", name, "XX", 1, run_id)


@pytest.fixture
async def deployment(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> AsyncGenerator[WebhookHarness]:
    monkeypatch.setattr(delivery_module, "_POLL_SECONDS", 0.02)
    async with AsyncExitStack() as stack:
        yield WebhookHarness(redis, stack, AdmissionHarness(stores(redis, redis)))


async def test_event_describes_the_run_and_its_message(deployment: WebhookHarness) -> None:
    receiver = await deployment.receiver()
    await deployment.worker()
    await deployment.end(await deployment.start("r1"))

    await until(deployment.is_empty)

    [(message_id, event)] = receiver.received
    assert message_id == "msg_r1"
    assert event["type"] == "run.succeeded"
    data = event["data"]
    assert event["timestamp"] == data.pop("finishedAt") >= data.pop("createdAt")
    message = data.pop("message")
    assert message["parts"] == [{"type": "text", "text": "Hello", "state": "done"}]
    assert data == {
        "runId": "r1",
        "chatId": "chat-r1",
        "messageId": "msg-1",
        "owner": "owner-1",
        "agent": "chat",
        "model": "gpt-4o",
        "state": "succeeded",
        "messageUrl": "/chat/chat-r1/messages/msg-1",
    }


async def test_each_ending_is_reported_once(deployment: WebhookHarness) -> None:
    receiver = await deployment.receiver()
    await deployment.worker()
    runs = [await deployment.start(name) for name in ("r1", "r2", "r3")]
    await deployment.end(runs[0])
    await deployment.end(runs[1], RunEnding.cancelled())
    await deployment.end(runs[2], RunEnding.lost("request-1"))

    await until(deployment.is_empty)

    ends = {event["data"]["runId"]: event["type"] for _, event in receiver.received}
    assert ends == {"r1": "run.succeeded", "r2": "run.cancelled", "r3": "run.failed"}
    assert len(receiver.received) == 3
    [failed] = receiver.events_of(["r3"])
    assert failed["data"]["code"] == "lost"


async def test_process_that_dies_after_the_closure_loses_nothing(
    deployment: WebhookHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver = await deployment.receiver()
    await deployment.worker()
    run = await deployment.start("r1")

    async def die(*_: object, **__: object) -> None:
        raise SystemError

    monkeypatch.setattr(EndedRuns, "add", die)
    with pytest.raises(SystemError):
        await deployment.end(run)
    await deployment.make_all_due()

    await until(deployment.is_empty)
    assert receiver.confirmed == ["msg_r1"]


async def test_worker_that_dies_before_it_stores_loses_nothing(
    deployment: WebhookHarness,
) -> None:
    receiver = await deployment.receiver()
    await deployment.end(await deployment.start("r1"))
    assert await WebhookStore(deployment.redis).claim_runs(10) == ["r1"]
    await deployment.make_all_due()

    await deployment.worker()

    await until(deployment.is_empty)
    assert receiver.confirmed == ["msg_r1"]


async def test_worker_that_dies_while_it_sends_loses_nothing(deployment: WebhookHarness) -> None:
    receiver = await deployment.receiver("hang", timeout_seconds=30)
    worker = await deployment.worker()
    await deployment.end(await deployment.start("r1"))
    await until(lambda: _count(receiver, 1))
    await worker.stop()
    assert receiver.confirmed == []
    await deployment.make_all_due()

    await deployment.worker()

    await until(deployment.is_empty)
    assert [message_id for message_id, _ in receiver.received] == ["msg_r1", "msg_r1"]


@pytest.mark.parametrize(
    "behavior",
    [
        response(500),
        response(404),
        response(429, "retry-after: 60"),
        response(302, "location: http://127.0.0.1:9/"),
        "hang",
        "reset",
        b"no HTTP\r\n\r\n",
    ],
    ids=["500", "404", "429", "redirect", "hang", "reset", "no HTTP"],
)
async def test_failed_attempt_is_repeated(deployment: WebhookHarness, behavior: Behavior) -> None:
    receiver = await deployment.receiver(behavior)
    await deployment.worker()
    await deployment.end(await deployment.start("r1"))
    await until(lambda: _failed(deployment, "r1"))
    assert receiver.confirmed == []

    await deployment.make_all_due()

    await until(deployment.is_empty)
    [first, second] = receiver.received
    assert first == second


async def test_retry_after_is_respected(deployment: WebhookHarness) -> None:
    await deployment.receiver(response(503, "retry-after: 3600"))
    await deployment.worker()
    await deployment.end(await deployment.start("r1"))
    await until(lambda: _failed(deployment, "r1"))

    seconds, _ = await deployment.redis.execute_command("TIME")
    due = await deployment.redis.execute_command("ZSCORE", keys.webhook_due("app"), "r1")

    assert 3_500 < float(due) / 1000 - int(seconds) <= 3_601


async def test_status_410_ends_the_attempts(deployment: WebhookHarness) -> None:
    receiver = await deployment.receiver(response(410))
    await deployment.worker()
    await deployment.end(await deployment.start("r1"))
    await until(lambda: _failed(deployment, "r1"))
    await deployment.make_all_due()
    await deployment.end(await deployment.start("r2"))

    await until(lambda: _count(receiver, 2))

    assert receiver.confirmed == ["msg_r2"]
    failed = await deployment.redis.execute_command("ZRANGE", keys.webhook_failed("app"), 0, -1)
    assert failed == [b"r1"]


async def test_response_body_without_end_counts_as_delivered(deployment: WebhookHarness) -> None:
    receiver = await deployment.receiver("endless")
    await deployment.worker()
    await deployment.end(await deployment.start("r1"))

    await until(deployment.is_empty)

    assert receiver.confirmed == ["msg_r1"]


async def test_dead_destination_does_not_delay_another(deployment: WebhookHarness) -> None:
    hanging: list[Behavior] = ["hang"] * 100
    dead = await deployment.receiver(*hanging, name="dead", timeout_seconds=30)
    app = await deployment.receiver()
    await deployment.worker()
    for number in range(12):
        await deployment.end(await deployment.start(f"r{number}"))

    await until(lambda: _count(app, 12))

    assert len(dead.received) <= 8
    assert dead.most_open_requests <= 8


async def test_backlog_is_sent_without_pauses(
    deployment: WebhookHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery_module, "_POLL_SECONDS", 60)
    receiver = await deployment.receiver()
    store = WebhookStore(deployment.redis)
    for number in range(20):
        run_id = f"r{number}"
        await deployment.redis.execute_command("ZADD", keys.WEBHOOK_RUNS, 1, run_id)
        event = WebhookEvent(run_id, "run.failed", 1, {"runId": run_id})
        assert await store.store(event, ["app"]) == "whole"

    await deployment.worker()

    await until(deployment.is_empty)
    assert len(receiver.confirmed) == 20


async def test_failing_redis_is_logged_once(
    deployment: WebhookHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []

    async def fail(_: WebhookStore, count: int) -> list[str]:
        calls.append(count)
        raise ResponseError("NOPERM no permission")

    monkeypatch.setattr(WebhookStore, "claim_runs", fail)
    await deployment.receiver()
    with capture_logs() as logs:
        await deployment.worker()
        await until(lambda: _returns(len(calls) > 3))

    [logged] = [entry for entry in logs if entry["event"] == "webhook.redis_unavailable"]
    assert (logged["log_level"], logged["error"]) == ("warning", "NOPERM no permission")


async def test_only_requested_events_are_sent(deployment: WebhookHarness) -> None:
    receiver = await deployment.receiver(events=("run.failed",))
    await deployment.worker()
    await deployment.end(await deployment.start("r1"))
    await deployment.end(await deployment.start("r2"), RunEnding.lost("request-1"))

    await until(deployment.is_empty)

    assert receiver.confirmed == ["msg_r2"]


async def test_both_secrets_sign_during_a_rotation(deployment: WebhookHarness) -> None:
    receiver = await deployment.receiver(secret=OTHER_SECRET, previous_secret=SECRET)
    await deployment.worker()
    await deployment.end(await deployment.start("r1"))

    await until(deployment.is_empty)

    assert receiver.confirmed == ["msg_r1"]  # the receiver has only the previous secret
    assert receiver.signatures[0].count("v1,") == 2


@pytest.mark.parametrize("limit", ["MAX_MESSAGE_BYTES", "_MAX_STREAM_BYTES"])
async def test_large_message_is_left_out(
    deployment: WebhookHarness, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    monkeypatch.setattr(event_module, limit, 1_000)
    receiver = await deployment.receiver()
    await deployment.worker()
    await deployment.end(await deployment.start("r1", text="x" * 5_000))

    await until(deployment.is_empty)

    [data] = [event["data"] for _, event in receiver.received]
    assert data["messageOmitted"] is True
    assert "message" not in data


async def test_webhook_outlives_its_run(deployment: WebhookHarness) -> None:
    receiver = await deployment.receiver(response(500))
    await deployment.worker()
    run = await deployment.start("r1")
    await deployment.end(run)
    await until(lambda: _failed(deployment, "r1"))
    await deployment.harness.runs.erase(["r1"])

    await deployment.make_all_due()

    await until(deployment.is_empty)
    assert receiver.confirmed == ["msg_r1"]


async def test_erased_chat_is_not_sent(deployment: WebhookHarness) -> None:
    receiver = await deployment.receiver(response(500))
    await deployment.worker()
    run = await deployment.start("r1")
    await deployment.end(run)
    await until(lambda: _failed(deployment, "r1"))

    await deployment.harness.chats.remove(run.owner, run.chat_id, [run.id])
    await deployment.make_all_due()

    await until(deployment.is_empty)
    assert receiver.confirmed == []


async def test_live_run_is_reported_when_it_ends(deployment: WebhookHarness) -> None:
    receiver = await deployment.receiver(OK)
    await deployment.worker()
    run = await deployment.start("r1")
    await deployment.make_all_due()
    await until(lambda: _checked(deployment, "r1"))
    assert receiver.received == []

    await deployment.end(run)

    await until(deployment.is_empty)
    assert receiver.confirmed == ["msg_r1"]


async def _returns(value: bool) -> bool:  # noqa: FBT001
    return value


async def _count(receiver: WebhookReceiver, count: int) -> bool:
    return len(receiver.received) >= count


async def _checked(deployment: WebhookHarness, run_id: str) -> bool:
    return float(await deployment.redis.execute_command("ZSCORE", keys.WEBHOOK_RUNS, run_id)) > 1


async def _failed(deployment: WebhookHarness, run_id: str) -> bool:
    attempts = await deployment.redis.execute_command("HGET", keys.webhook(run_id), "attempts:app")
    return attempts is not None
