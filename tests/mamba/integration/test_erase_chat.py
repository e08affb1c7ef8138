"""`mamba chat erase` leaves nothing of a chat in Redis, for any owner."""

import pytest

from mamba.cli_errors import CommandFailed
from mamba.operate.deployment import Deployment
from mamba.operate.erase_chat import erase
from shared.redis import keys
from shared.redis.client import Redis
from shared.runs.finalize import RunEnding, RunFinalizer
from shared.settings import LimitSettings
from shared.webhooks.event import WebhookEvent
from shared.webhooks.store import WebhookStore
from tests.support.fakes.runs import job_of, new_run

OWNER, CHAT = "jwt:acme:ann", "trip"


@pytest.fixture
async def chat(deployment: Deployment) -> str:
    """Admit and end a run of a chat, and return its id."""
    run = new_run("first", owner=OWNER, chat_id=CHAT)
    stores = deployment.stores
    await stores.admission.admit(run, job_of(run), LimitSettings())
    finalizer = RunFinalizer(stores.stream, stores.ended_runs, deployment.queue)
    assert await finalizer.end(run, RunEnding.cancelled())
    return run.id


async def keys_of(redis: Redis, run_id: str) -> list[bytes]:
    names: list[bytes] = await redis.execute_command("KEYS", f"*{run_id}*")
    return names


async def test_erase_deletes_the_runs_of_the_chat(
    deployment: Deployment, redis: Redis, chat: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await keys_of(redis, chat)

    await erase(deployment, OWNER, CHAT, confirmed=True)

    assert await keys_of(redis, chat) == []
    assert await deployment.stores.chats.runs(OWNER, CHAT) == []
    assert capsys.readouterr().out == "Chat trip is erased.\n"


async def test_erase_removes_the_webhooks_of_expired_runs(
    deployment: Deployment, redis: Redis, chat: str
) -> None:
    await redis.execute_command("ZADD", keys.WEBHOOK_RUNS, 1, chat)
    store = WebhookStore(redis)
    event = WebhookEvent(chat, "run.cancelled", 1_000, {})
    assert await store.store(event, ["app"]) == "whole"
    await deployment.stores.runs.erase([chat])

    with pytest.raises(CommandFailed, match="has no stored chat"):
        await erase(deployment, OWNER, CHAT, confirmed=True)

    assert await store.claim("app", 10) == []
    assert await keys_of(redis, chat) == []


@pytest.mark.parametrize(("owner", "chat_id"), [("jwt:acme:bob", CHAT), (OWNER, "other")])
async def test_erase_needs_the_owner_of_the_chat(
    deployment: Deployment, redis: Redis, chat: str, owner: str, chat_id: str
) -> None:
    with pytest.raises(CommandFailed, match=f"{owner!r} has no stored chat {chat_id!r}"):
        await erase(deployment, owner, chat_id, confirmed=True)

    assert await keys_of(redis, chat)


async def test_erase_needs_a_confirmation(deployment: Deployment, redis: Redis, chat: str) -> None:
    with pytest.raises(CommandFailed, match="confirm with --yes"):
        await erase(deployment, OWNER, CHAT, confirmed=False)

    assert await keys_of(redis, chat)
