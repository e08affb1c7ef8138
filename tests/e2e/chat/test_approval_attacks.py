"""Concurrent, late, lost and foreign approvals: only an approved call runs, and only once."""

import asyncio
from contextlib import aclosing
from typing import Any

import pytest

from shared.redis import keys
from tests.support.sse_client import SseClient, error_code, text
from tests.support.system.approval import (
    ApprovalSystem,
    approval_system,
    body_of,
    history,
    pending,
    response,
)
from tests.support.system.running_system import kill_process
from tests.support.wait import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

system = approval_system


def response_body(name: str, *parts: Any, **more: Any) -> dict[str, Any]:
    return body_of(name, messages=history(*parts), **more)


async def test_only_one_of_concurrent_approvals_is_accepted(
    system: ApprovalSystem, sse: SseClient, name: str
) -> None:
    await pending(system, sse, name, name)
    body = response_body(name, response())

    responses = await asyncio.gather(*(sse.post(system.chat, name, **body) for _ in range(20)))

    assert sorted(each.status_code for each in responses) == [200, *[409] * 19]
    assert system.deleted(name) == [name]


async def test_only_one_of_approval_and_denial_is_accepted(
    system: ApprovalSystem, sse: SseClient, name: str
) -> None:
    await pending(system, sse, name, name)

    approved, denied = await asyncio.gather(
        sse.post(system.chat, name, **response_body(name, response())),
        sse.post(system.chat, name, **response_body(name, response(approved=False))),
    )

    assert sorted([approved.status_code, denied.status_code]) == [200, 409]
    assert system.deleted(name) == ([name] if approved.status_code == 200 else [])


async def test_approval_from_another_chat_returns_410(
    system: ApprovalSystem, sse: SseClient, name: str
) -> None:
    """A chat of another owner counts as another chat, even with the same id."""
    await pending(system, sse, name, name)

    for chat in (f"{name}-none", None):
        refused = await sse.post(
            system.chat, chat or "", **response_body(name, response(), id=chat)
        )
        assert (refused.status_code, refused.json()["code"]) == (410, "pending_expired")
    assert system.deleted(name) == []


async def test_denied_call_cannot_be_approved_later(
    system: ApprovalSystem, sse: SseClient, name: str
) -> None:
    await pending(system, sse, name, name)
    await sse.answer(system.chat, name, **response_body(name, response(approved=False)))

    late = await sse.post(system.chat, name, **response_body(name, response()))

    assert (late.status_code, late.json()["code"]) == (409, "not_pending")
    assert system.deleted(name) == []


@pytest.mark.parametrize("supersede", [False, True])
async def test_new_message_discards_the_pending_call(
    system: ApprovalSystem, sse: SseClient, name: str, *, supersede: bool
) -> None:
    await pending(system, sse, name, name)
    await system.upstream.script(name, [[{"text": ["Hi."]}]])
    events = await sse.answer(system.chat, name, **body_of(name, supersede=supersede))

    late = await sse.post(system.chat, name, **response_body(name, response(), supersede=supersede))

    assert text(events) == "Hi."
    assert (late.status_code, late.json()["code"]) == (409, "not_pending")
    assert system.deleted(name) == []


async def test_stop_keeps_a_pending_call_pending(
    system: ApprovalSystem, sse: SseClient, name: str
) -> None:
    await pending(system, sse, name, name)

    stopped = await sse.stop(system.chat, name)
    events = await sse.answer(system.chat, name, **response_body(name, response()))

    assert stopped.json()["state"] == "succeeded"
    assert text(events) == "Done."
    assert system.deleted(name) == [name]


async def test_approval_lost_before_a_worker_can_be_resubmitted(
    system: ApprovalSystem, sse: SseClient, name: str
) -> None:
    await pending(system, sse, name, name)
    body = response_body(name, response())
    await kill_process(system.workers[-1])
    async with sse.ask(system.chat, name, **body) as stream:
        duplicate = await sse.post(system.chat, name, **body)
        assert (duplicate.status_code, duplicate.json()["code"]) == (409, "not_pending")
        await _delete_queue(system)
        assert error_code(await stream.rest()) == "lost"
    assert system.deleted(name) == []

    await system.start_worker()
    events = await sse.answer(system.chat, name, **body)

    assert text(events) == "Done."
    assert system.deleted(name) == [name]
    again = await sse.post(system.chat, name, **body)
    assert (again.status_code, again.json()["code"]) == (409, "not_pending")


async def test_approved_call_that_started_is_not_repeated(
    system: ApprovalSystem, sse: SseClient, name: str
) -> None:
    path = f"slow-{name}"
    await pending(system, sse, name, path)
    body = response_body(name, response())
    async with sse.ask(system.chat, name, **body):
        await until(lambda: _has_deleted(system, name))
        assert (await sse.stop(system.chat, name)).json()["state"] == "cancelled"

    again = await sse.post(system.chat, name, **body)

    assert (again.status_code, again.json()["code"]) == (409, "not_pending")
    assert system.deleted(name) == [path]


async def _has_deleted(system: ApprovalSystem, name: str) -> bool:
    return bool(system.deleted(name))


async def _delete_queue(system: ApprovalSystem) -> None:
    async with aclosing(system.valkey.client()) as redis:
        await redis.execute_command("DEL", keys.QUEUE)
