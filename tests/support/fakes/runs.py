"""Runs and jobs with arbitrary values."""

from typing import Any

from shared.chat.messages import Message, TextPart
from shared.queue.job import RunChat
from shared.redis import keys
from shared.redis.client import Redis, redis_time_ms
from shared.runs.run import Run, new_run_id
from shared.runs.store import RunStore


def new_run(run_id: str | None = None, *, owner: str = "owner-1", chat_id: str = "chat-1") -> Run:
    return Run(
        id=run_id or new_run_id(),
        chat_id=chat_id,
        owner=owner,
        message_id="msg-1",
        agent="chat",
        model="gpt-4o",
        request_id="request-1",
    )


def job_of(run: Run, *, text: str = "Hello") -> RunChat:
    return RunChat(
        run_id=run.id,
        chat_id=run.chat_id,
        message_id=run.message_id,
        request_id=run.request_id,
        agent=run.agent,
        model=run.model,
        messages=(Message(role="user", parts=(TextPart(text=text),)),),
    )


def private_run(run_id: str, **more: Any) -> Run:
    """Return a run whose chat and owner must not be shown."""
    fields: dict[str, Any] = {
        "id": run_id,
        "chat_id": "a secret chat",
        "owner": "a secret owner",
        "message_id": "msg",
        "agent": "chat",
        "model": "m",
        "request_id": "req",
    }
    return Run(**{**fields, **more})


async def put_run(redis: Redis, run_id: str, due: int, *, queue: str = "main", **more: Any) -> None:
    """Create a private run with a job that is due in `due` seconds."""
    await RunStore(redis, live_ttl=60).create(private_run(run_id, queue=queue, **more))
    at = await redis_time_ms(redis) + due * 1000
    await redis.execute_command("ZADD", keys.queue(queue), at, run_id)
    await redis.execute_command("PEXPIRE", keys.queue(queue), 60_000)


async def put_usage(redis: Redis, run_id: str, attempt: int, usage: str) -> None:
    """Store what an attempt has used."""
    await redis.execute_command("HSET", keys.run(run_id), f"usage:{attempt}", usage)
