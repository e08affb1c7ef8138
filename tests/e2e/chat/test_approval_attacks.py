"""Approvals at odd moments and from odd places: a call that was not approved is never made."""

import asyncio
from contextlib import aclosing
from typing import Any

import pytest

from shared.redis import keys
from tests.e2e.chat import test_approval
from tests.e2e.chat.test_approval import Office, body_of, history, pending, response
from tests.e2e.conftest import end
from tests.support.sse_client import SseClient, error_code, text
from tests.support.wait import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

office = test_approval.office


def answering(name: str, *parts: Any, **more: Any) -> dict[str, Any]:
    return body_of(name, messages=history(*parts), **more)


async def test_only_one_of_concurrent_approvals_is_accepted(
    office: Office, sse: SseClient, name: str
) -> None:
    await pending(office, sse, name, name)
    body = answering(name, response())

    all_ = await asyncio.gather(*(sse.post(office.chat, name, **body) for _ in range(20)))

    assert sorted(each.status_code for each in all_) == [200, *[409] * 19]
    assert office.deleted(name) == [name]


async def test_only_one_of_approval_and_denial_is_accepted(
    office: Office, sse: SseClient, name: str
) -> None:
    await pending(office, sse, name, name)

    yes, no = await asyncio.gather(
        sse.post(office.chat, name, **answering(name, response())),
        sse.post(office.chat, name, **answering(name, response(approved=False))),
    )

    assert sorted([yes.status_code, no.status_code]) == [200, 409]
    assert office.deleted(name) == ([name] if yes.status_code == 200 else [])


async def test_approval_from_another_chat_returns_410(
    office: Office, sse: SseClient, name: str
) -> None:
    """A chat of another owner is another chat, whatever its id."""
    await pending(office, sse, name, name)

    for chat in (f"{name}-none", None):
        refused = await sse.post(office.chat, chat or "", **answering(name, response(), id=chat))
        assert (refused.status_code, refused.json()["code"]) == (410, "pending_expired")
    assert office.deleted(name) == []


async def test_denied_call_cannot_be_approved_later(
    office: Office, sse: SseClient, name: str
) -> None:
    await pending(office, sse, name, name)
    await sse.answer(office.chat, name, **answering(name, response(approved=False)))

    late = await sse.post(office.chat, name, **answering(name, response()))

    assert (late.status_code, late.json()["code"]) == (409, "not_pending")
    assert office.deleted(name) == []


@pytest.mark.parametrize("supersede", [False, True])
async def test_new_message_discards_the_pending_call(
    office: Office, sse: SseClient, name: str, *, supersede: bool
) -> None:
    await pending(office, sse, name, name)
    await office.upstream.script(name, [[{"text": ["Hi."]}]])
    events = await sse.answer(office.chat, name, **body_of(name, supersede=supersede))

    late = await sse.post(office.chat, name, **answering(name, response(), supersede=supersede))

    assert text(events) == "Hi."
    assert (late.status_code, late.json()["code"]) == (409, "not_pending")
    assert office.deleted(name) == []


async def test_stop_keeps_a_pending_call_pending(office: Office, sse: SseClient, name: str) -> None:
    await pending(office, sse, name, name)

    stopped = await sse.stop(office.chat, name)
    events = await sse.answer(office.chat, name, **answering(name, response()))

    assert stopped.json()["state"] == "succeeded"
    assert text(events) == "Done."
    assert office.deleted(name) == [name]


async def test_approval_lost_before_a_worker_can_be_resubmitted(
    office: Office, sse: SseClient, name: str
) -> None:
    await pending(office, sse, name, name)
    body = answering(name, response())
    await end(office.workers[-1])
    async with sse.ask(office.chat, name, **body) as stream:
        twice = await sse.post(office.chat, name, **body)
        assert (twice.status_code, twice.json()["code"]) == (409, "not_pending")
        await _lose_the_job(office)
        assert error_code(await stream.rest()) == "lost"
    assert office.deleted(name) == []

    await office.hire()
    events = await sse.answer(office.chat, name, **body)

    assert text(events) == "Done."
    assert office.deleted(name) == [name]
    again = await sse.post(office.chat, name, **body)
    assert (again.status_code, again.json()["code"]) == (409, "not_pending")


async def test_approved_call_that_started_is_not_repeated(
    office: Office, sse: SseClient, name: str
) -> None:
    path = f"slow-{name}"
    await pending(office, sse, name, path)
    body = answering(name, response())
    async with sse.ask(office.chat, name, **body):
        await until(lambda: _made(office, name))
        assert (await sse.stop(office.chat, name)).json()["state"] == "cancelled"

    again = await sse.post(office.chat, name, **body)

    assert (again.status_code, again.json()["code"]) == (409, "not_pending")
    assert office.deleted(name) == [path]


async def _made(office: Office, name: str) -> bool:
    return bool(office.deleted(name))


async def _lose_the_job(office: Office) -> None:
    async with aclosing(office.valkey.client()) as redis:
        await redis.execute_command("DEL", keys.QUEUE)
