"""Model failures: transient ones are retried, the others are reported to the user."""

import pytest

from tests.support.ai_client.driver import VERSIONS, AiClient, Version
from tests.support.processes import ServerProcess
from tests.support.sse_client import Json, SseClient, check_whole, error_code, text, types
from tests.support.system.running_system import System
from tests.support.wait import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

HELLO: list[list[Json]] = [[{"text": ["Hel", "lo", " world"]}]]

SECRETS = ("sk-marker-of-the-key", "marker-of-the-prompt")
LEAKS: Json = {"error": {"message": f"Incorrect API key: {SECRETS[0]} for {SECRETS[1]}"}}


@pytest.mark.parametrize("version", VERSIONS)
async def test_error_for_a_rejected_key_contains_no_secret(
    system: System, ai: AiClient, sse: SseClient, name: str, version: Version
) -> None:
    await system.upstream.script(name, HELLO, [{"status": 401, "body": LEAKS}])

    answer = await ai.send(
        ai=version, api=system.chat, chat=name, text=SECRETS[1], body={"model": name}
    )

    assert answer.status == "error"
    assert answer.error is not None
    assert answer.error.message == "The model refused the server's credentials."
    events = await sse.replay(system.chat, name)
    check_whole(events, ending="error")
    assert error_code(events) == "model_auth"
    assert not any(secret in event.data for secret in SECRETS for event in events)
    assert len(await system.upstream.requests(name)) == 1


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    "failures",
    [
        [{"status": 429, "headers": {"retry-after": "0"}}, {"status": 429}],
        [{"status": 500}, {"status": 503}, {"status": 502}],
        [{"cut_before_headers": True}],
        [{"cut_after": 1}, {"cut_after": 1}],
    ],
    ids=["rate limit", "server errors", "no response", "cut in the text"],
)
async def test_transient_failure_is_invisible_to_the_client(
    system: System, ai: AiClient, name: str, version: Version, failures: list[Json]
) -> None:
    await system.upstream.script(name, HELLO, failures)

    answer = await ai.send(ai=version, api=system.chat, chat=name, text="Hi", body={"model": name})

    assert (answer.error, answer.status, answer.text) == (None, "ready", "Hello world")
    assert len(await system.upstream.requests(name)) == len(failures) + 1


async def test_failure_in_the_second_step_keeps_the_first(
    system: System, sse: SseClient, name: str
) -> None:
    card = {"tool": {"id": "call-1", "name": "generateCard", "arguments": '{"title": "A"}'}}
    responses = [[card], [{"text": ["Hello"]}]]
    await system.upstream.script(name, responses, [{"ok": True}, {"status": 503}])

    events = await sse.answer(system.chat, name, model=name, tools=["generateCard"])

    check_whole(events)
    assert types(events).count("tool-output-available") == 1
    assert text(events) == "Hello"


async def test_run_fails_after_max_retries(workerless: System, sse: SseClient, name: str) -> None:
    await workerless.upstream.script(name, HELLO, [{"status": 500}] * 3)

    async with workerless.start_workers(RUN__MAX_RETRIES=2, WORKER__LEASE_SECONDS=60):
        events = await sse.answer(workerless.chat, name, model=name)

    check_whole(events, ending="error")
    assert error_code(events) == "model_error"
    assert len(await workerless.upstream.requests(name)) == 3


async def test_text_before_the_final_failure_is_kept(
    workerless: System, sse: SseClient, name: str
) -> None:
    await workerless.upstream.script(name, HELLO, [{"cut_after": 2}])

    async with workerless.start_workers(RUN__MAX_RETRIES=0, WORKER__LEASE_SECONDS=60):
        events = await sse.answer(workerless.chat, name, model=name)

    check_whole(events, ending="error")
    assert text(events) == "Hello"


async def test_run_over_its_timeout_fails(workerless: System, sse: SseClient, name: str) -> None:
    await workerless.upstream.script(name, [[{"text": ["Hel"]}, {"wait": True}]])

    async with (
        workerless.start_workers(RUN__TIMEOUT_SECONDS=4, WORKER__LEASE_SECONDS=60),
        sse.ask(workerless.chat, name, model=name) as stream,
    ):
        events = await stream.rest()
        await workerless.upstream.until(name, lambda got: got[0]["outcome"] == "client-closed")

    check_whole(events, ending="error")
    assert error_code(events) == "run_timeout"
    assert text(events) == "Hel"
    run = await workerless.run(stream.run_id)
    assert (run["state"], run["error"]) == ("failed", "run_timeout")


async def test_logs_contain_neither_prompts_nor_keys(
    workerless: System, sse: SseClient, name: str
) -> None:
    key, prompt = SECRETS
    refusals: list[Json] = [{"status": status, "body": LEAKS} for status in (400, 401, 500)]
    cases: list[list[Json]] = [[], [{"cut_after": 1}], *([refusal] for refusal in refusals)]

    async with workerless.start_workers(OPENAI__API_KEY=key, LOGGING__LEVEL="DEBUG") as [worker]:
        for number, failures in enumerate(cases):
            model = f"{name}-{number}"
            await workerless.upstream.script(model, [[{"text": [prompt, prompt]}]], failures)
            async with sse.ask(workerless.chat, model, text=prompt, model=model) as stream:
                await stream.rest()
            await until(lambda run_id=stream.run_id: _has_logged(worker, run_id, "run.ended"))
            [request, *_] = await workerless.upstream.requests(model)
            assert request["body"]["messages"][-1]["content"] == prompt
        assert (await sse.post(workerless.chat, name, tools=[prompt])).status_code == 422
        logs = [process.output for process in (*workerless.apis, worker)]

    assert "run.accepted" in logs[0]
    assert not [log for log in logs if key in log or prompt in log]


async def _has_logged(process: ServerProcess, *values: str) -> bool:
    return any(all(value in line for value in values) for line in process.output.splitlines())
