"""Tool calls with approval: a run ends with the request, the response starts the next run."""

import asyncio

import pytest

from shared.redis import keys
from tests.support.ai_client.driver import VERSIONS, AiClient, Json, Result, Version
from tests.support.ai_client.stored_message import read_stored_message
from tests.support.sse_client import SseClient, check_whole, chunks, text, types
from tests.support.system.approval import (
    ApprovalSystem,
    approval_system,
    body_of,
    call,
    history,
    pending,
    response,
)
from tests.support.system.running_system import kill_process
from tests.support.wait import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

system = approval_system
versions = pytest.mark.parametrize("version", ["6", "7"])


async def send_with_calls(
    system: ApprovalSystem, ai: AiClient, name: str, version: Version, *calls: Json
) -> Result:
    responses = [[{"text": ["Well. "]}, *calls], [{"text": ["All ", "done."]}]]
    await system.upstream.script(name, responses)
    api, body = system.chat, body_of(name)
    page = await ai.send(ai=version, api=api, chat=name, text="Delete it", body=body)
    assert (page.status, page.error) == ("ready", None)
    return page


async def send_responses(
    system: ApprovalSystem,
    ai: AiClient,
    name: str,
    version: Version,
    page: Result,
    answers: Json,
    *,
    mamba: bool = False,
) -> Result:
    return await ai.answer(
        ai=version,
        api=system.chat,
        chat=name,
        body=body_of(name),
        messages=page.messages,
        answers=answers,
        mamba=mamba,
    )


def states(result: Result) -> list[str]:
    assert result.message
    return [part["state"] for part in result.message["parts"] if part["type"].startswith("tool-")]


def with_decision(message: Json, *, approved: bool | None) -> Json:
    """Add what a replay does not contain: whether the user approved the call.

    The SDK keeps the `rawInput` of a replayed call that was denied, beside its `input`.
    """
    for part in message["parts"]:
        part.pop("rawInput", None)
        if "approval" in part and approved is not None:
            part["approval"]["approved"] = approved
    return message


async def tool_results(system: ApprovalSystem, name: str) -> list[str]:
    requests = await system.upstream.requests(name)
    return [m["content"] for m in requests[-1]["body"]["messages"] if m["role"] == "tool"]


@versions
async def test_approval_runs_the_call_and_continues_the_answer(
    system: ApprovalSystem, ai: AiClient, name: str, version: Version
) -> None:
    page = await send_with_calls(system, ai, name, version, call("c1", name))
    assert (states(page), system.deleted(name)) == (["approval-requested"], [])
    finish = page.chunks[0][-1]
    assert (finish["type"], finish["finishReason"]) == ("finish", "tool-calls")

    done = await send_responses(system, ai, name, version, page, {"c1": {"approved": True}})

    assert (done.status, done.error, done.text) == ("ready", None, "Well. All done.")
    assert (states(done), system.deleted(name)) == (["output-available"], [name])
    assert [message["role"] for message in done.messages] == ["user", "assistant"]
    assert await tool_results(system, name) == [f"deleted {name}"]


@versions
async def test_denial_skips_the_call_and_gives_the_model_the_reason(
    system: ApprovalSystem, ai: AiClient, name: str, version: Version
) -> None:
    page = await send_with_calls(system, ai, name, version, call("c1", name))

    answers = {"c1": {"approved": False, "reason": "I need it."}}
    done = await send_responses(system, ai, name, version, page, answers)

    assert (done.status, done.error, done.text) == ("ready", None, "Well. All done.")
    assert (states(done), system.deleted(name)) == (["output-denied"], [])
    [result] = await tool_results(system, name)
    assert "I need it." in result


@versions
async def test_each_pending_call_has_its_own_decision(
    system: ApprovalSystem, ai: AiClient, name: str, version: Version
) -> None:
    calls = [call("c0", "x", "look"), call("c1", f"1{name}"), call("c2", f"2{name}")]
    page = await send_with_calls(system, ai, name, version, *calls)
    assert states(page) == ["output-available", "approval-requested", "approval-requested"]

    answers = {"c1": {"approved": True}, "c2": {"approved": False}}
    done = await send_responses(system, ai, name, version, page, answers)

    assert (done.status, done.error, done.text) == ("ready", None, "Well. All done.")
    assert states(done) == ["output-available", "output-available", "output-denied"]
    assert system.deleted(name) == [f"1{name}"]
    assert len(await tool_results(system, name)) == 3


@versions
@pytest.mark.parametrize("approved", [None, True, False])
async def test_reloaded_page_shows_the_whole_message(
    system: ApprovalSystem,
    ai: AiClient,
    name: str,
    version: Version,
    approved: bool | None,  # noqa: FBT001
) -> None:
    page = await send_with_calls(
        system, ai, name, version, call("c0", "x", "look"), call("c1", name)
    )
    if approved is not None:
        page = await send_responses(system, ai, name, version, page, {"c1": {"approved": approved}})

    reloaded = await ai.resume(ai=version, api=system.chat, chat=name, messages=page.messages[:1])

    assert (reloaded.status, reloaded.error) == ("ready", None)
    assert (states(reloaded), reloaded.text) == (states(page), page.text)
    assert reloaded.messages[-1]["id"] == page.messages[-1]["id"]
    assert len(reloaded.messages[-1]["parts"]) == len(page.messages[-1]["parts"])
    stored = await read_stored_message(f"{system.chat}/{name}/message")
    assert stored == with_decision(reloaded.messages[-1], approved=approved)


@versions
async def test_continued_answer_can_request_another_approval(
    system: ApprovalSystem, ai: AiClient, name: str, version: Version
) -> None:
    page = await send_with_calls(system, ai, name, version, call("c1", f"1{name}"))
    responses = [[{"text": ["?"]}], [call("c2", f"2{name}")], [{"text": ["Both."]}]]
    await system.upstream.script(name, responses)
    page = await send_responses(system, ai, name, version, page, {"c1": {"approved": True}})
    assert states(page) == ["output-available", "approval-requested"]

    done = await send_responses(system, ai, name, version, page, {"c2": {"approved": True}})
    reloaded = await ai.resume(ai=version, api=system.chat, chat=name, messages=done.messages[:1])

    assert (done.status, done.error, done.text) == ("ready", None, "Well. Both.")
    assert states(done) == states(reloaded) == ["output-available", "output-available"]
    assert reloaded.text == done.text
    assert system.deleted(name) == [f"1{name}", f"2{name}"]


@pytest.mark.parametrize("version", VERSIONS)
async def test_client_without_approval_support_is_denied(
    system: ApprovalSystem, ai: AiClient, name: str, version: Version
) -> None:
    await system.upstream.script(name, [[call("c1", name)], [{"text": ["I may not."]}]])
    body = body_of(name)
    del body["sdkVersion"]

    done = await ai.send(ai=version, api=system.chat, chat=name, text="Delete", body=body)

    assert (done.status, done.error, done.text) == ("ready", None, "I may not.")
    assert (states(done), system.deleted(name)) == (["output-error"], [])
    [result] = await tool_results(system, name)
    assert "cannot request it" in result


async def test_agent_file_can_require_approval_for_a_display_tool(
    system: ApprovalSystem, sse: SseClient, name: str
) -> None:
    card = {"tool": {"id": "c1", "name": "generateCard", "arguments": '{"title": "Rome"}'}}
    await system.upstream.script(name, [[card]])

    events = await sse.answer(system.chat, name, **body_of(name, agent="printer"))

    check_whole(events)
    assert types(events)[-4:] == [
        *("tool-input-available", "tool-approval-request", "finish-step", "finish")
    ]


@versions
async def test_tab_that_denies_too_late_shows_the_approved_result(
    system: ApprovalSystem, ai: AiClient, name: str, version: Version
) -> None:
    page = await send_with_calls(system, ai, name, version, call("c1", name))
    approval, denial = {"c1": {"approved": True}}, {"c1": {"approved": False}}
    await send_responses(system, ai, name, version, page, approval)

    late = await send_responses(system, ai, name, version, page, denial, mamba=True)

    assert [request.status for request in late.requests] == [409, 200]
    assert (late.status, late.error, late.text) == ("ready", None, "Well. All done.")
    assert states(late) == ["output-available"]
    assert system.deleted(name) == [name]


async def test_input_in_an_approval_response_is_ignored(
    system: ApprovalSystem, sse: SseClient, name: str
) -> None:
    await pending(system, sse, name, name)

    forged = response(input={"path": f"all-{name}"}, toolName="look")
    events = await sse.answer(system.chat, name, **body_of(name), messages=history(forged))

    assert text(events) == "Done."
    assert system.deleted(name) == [name]


async def test_approval_of_an_unknown_call_returns_409(
    system: ApprovalSystem, sse: SseClient, name: str
) -> None:
    await pending(system, sse, name, name)
    other = f"{name}-other"
    await system.upstream.script(other, [[{"text": ["Hi."]}]])
    await sse.answer(system.chat, other, **body_of(other))

    unknown = history(response(), response("c9", input={"path": "x"}))
    refused = await sse.post(system.chat, name, **body_of(name), messages=unknown)
    elsewhere = await sse.post(system.chat, other, **body_of(other), messages=history(response()))

    assert (refused.status_code, refused.json()["code"]) == (409, "not_pending")
    assert refused.json()["field"] == "messages[1].parts[2]"
    assert (elsewhere.status_code, elsewhere.json()["code"]) == (409, "not_pending")
    assert system.deleted(name) == []


async def test_tool_output_instead_of_an_approval_returns_422(
    system: ApprovalSystem, sse: SseClient, name: str
) -> None:
    await pending(system, sse, name, name)
    output = {"type": "tool-delete", "toolCallId": "c1", "state": "output-available"}
    start = (await sse.replay(system.chat, name))[0].chunk

    refused = await sse.post(
        system.chat,
        name,
        **body_of(name),
        messages=history({**output, "input": {}, "output": "done"}, id=start["messageId"]),
    )

    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_request")
    assert "'c1' ('delete') waits for an approval" in refused.json()["detail"]


async def test_missing_response_to_a_pending_call_returns_422(
    system: ApprovalSystem, sse: SseClient, name: str
) -> None:
    await pending(system, sse, name, f"1{name}", call("c2", f"2{name}"))

    refused = await sse.post(system.chat, name, **body_of(name), messages=history(response()))

    assert (refused.status_code, refused.json()["field"]) == (422, "messages[1]")
    assert "'c2' ('delete')" in refused.json()["detail"]
    assert system.deleted(name) == []


async def test_double_submitted_approval_runs_the_call_once(
    system: ApprovalSystem, sse: SseClient, name: str
) -> None:
    await pending(system, sse, name, name)
    body = body_of(name, messages=history(response()), supersede=True)

    both = await asyncio.gather(*(sse.post(system.chat, name, **body) for _ in range(2)))
    late = await sse.post(system.chat, name, **body)

    assert sorted(each.status_code for each in both) == [200, 409]
    assert (late.status_code, late.json()["code"]) == (409, "not_pending")
    assert system.deleted(name) == [name]


async def test_approval_after_retention_returns_410(
    system: ApprovalSystem, sse: SseClient, name: str
) -> None:
    first = await pending(system, sse, name, name)
    redis = system.valkey.client()
    try:
        await redis.execute_command("DEL", keys.stream(first.run_id))
        without_stream = await sse.post(
            system.chat, name, **body_of(name), messages=history(response())
        )
        await redis.execute_command("DEL", keys.run(first.run_id))
        without_run = await sse.post(
            system.chat, name, **body_of(name), messages=history(response())
        )
    finally:
        await redis.aclose()

    for refused in (without_stream, without_run):
        assert (refused.status_code, refused.json()["code"]) == (410, "pending_expired")


async def test_replay_without_the_earlier_stream_shows_the_rest(
    system: ApprovalSystem, ai: AiClient, sse: SseClient, name: str
) -> None:
    first = await pending(system, sse, name, name)
    await sse.answer(system.chat, name, **body_of(name), messages=history(response()))
    redis = system.valkey.client()
    try:
        assert await redis.execute_command("PTTL", keys.stream(first.run_id)) > 3_600_000
        await redis.execute_command("DEL", keys.stream(first.run_id))
    finally:
        await redis.aclose()

    reloaded = await ai.resume(ai="7", api=system.chat, chat=name, messages=history()[:1])

    assert (reloaded.status, reloaded.error, reloaded.text) == ("ready", None, "Done.")
    assert states(reloaded) == []


async def test_continued_answer_survives_a_killed_worker(
    system: ApprovalSystem, sse: SseClient, name: str
) -> None:
    path = f"slow-{name}"
    await pending(system, sse, name, path, call("c2", f"denied-{name}"))
    parts = [response(), response("c2", approved=False)]

    async with sse.ask(system.chat, name, **body_of(name), messages=history(*parts)) as stream:
        events = await stream.until("tool-output-denied")
        await wait_for_deletions(system, name, 1)
        await kill_process(system.workers[-1])
        await system.start_worker()
        await wait_for_deletions(system, name, 2)
        (system.folder / path).touch()
        events += await stream.rest()

    assert types(events) == [
        *("start", "tool-output-denied", "tool-output-available"),
        *("start-step", "text-start", "text-delta", "text-end", "finish-step", "finish"),
    ]
    assert {event.attempt for event in events} == {1, 2}
    assert system.deleted(name) == [path, path]
    assert len(await tool_results(system, name)) == 2


async def wait_for_deletions(system: ApprovalSystem, name: str, count: int) -> None:
    async def probe() -> bool:
        return len(system.deleted(name)) == count

    await until(probe)


async def test_continued_answer_resumes_after_its_start_event(
    system: ApprovalSystem, sse: SseClient, name: str
) -> None:
    first = await pending(system, sse, name, name)
    posted = await sse.answer(system.chat, name, **body_of(name), messages=history(response()))

    replayed = await sse.replay(system.chat, name)
    rest = [event for event in replayed if "/" not in event.id]
    runs = [event.run_id for event in replayed[: -len(rest)]]

    run_id = posted[0].run_id
    assert runs == [f"{run_id}/{run_id}", *[f"{run_id}/{first.run_id}"] * 5]
    assert rest == posted[1:]
    assert chunks(replayed)[0] == chunks(posted)[0]
    assert await sse.replay(system.chat, name, after=posted[0].id) == rest
    assert await sse.replay(system.chat, name, after=f"0-0@{run_id}") == posted
    for at, event in enumerate(replayed[:-1], start=1):
        assert await sse.replay(system.chat, name, after=event.id) == replayed[at:]


async def test_killed_worker_does_not_approve_pending_calls(
    system: ApprovalSystem, sse: SseClient, name: str
) -> None:
    slow_path = f"slow-{name}"
    calls = [call("c0", "x", "look"), call("c1", slow_path, "look"), call("c2", name)]
    await system.upstream.script(name, [calls, [{"text": ["Done."]}]])

    async with sse.ask(system.chat, name, **body_of(name)) as stream:
        events = await stream.until("tool-output-available")
        await kill_process(system.workers[-1])
        await system.start_worker()
        (system.folder / slow_path).touch()
        events += await stream.rest()

    check_whole(events)
    assert types(events)[-2:] == ["finish-step", "finish"]
    assert types(events).count("tool-output-available") == 2
    assert types(events).count("tool-approval-request") == 1
    assert system.deleted(name) == []

    posted = await sse.answer(system.chat, name, **body_of(name), messages=history(response("c2")))
    assert text(posted) == "Done."
    assert system.deleted(name) == [name]
    assert len(await tool_results(system, name)) == 3
