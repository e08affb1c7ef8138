"""Traces that real processes export to a collector."""

import asyncio
import signal
from collections.abc import AsyncGenerator, Generator

import httpx
import pytest
import pytest_asyncio

from tests.support.processes import Worker
from tests.support.sse_client import Json, SseClient
from tests.support.system.running_system import System
from tests.support.tracing.otlp_collector import Collector
from tests.support.tracing.traced import (
    ask,
    attempts,
    chat_request,
    log_lines,
    open_system,
    path_to,
    span_named,
)
from tests.support.upstream.client import Upstream
from tests.support.wait import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

#: Part of all content that must not appear in a trace.
MARK = "marker7f3a"
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
ECHO: Json = {"error": {"message": f"Wrong key {MARK}-key for: {MARK}-prompt", "code": "x"}}
WAIT: Json = {"wait": True}


def call(name: str, arguments: str) -> Json:
    return {"tool": {"id": f"call-{name}", "name": name, "arguments": arguments}}


CARD = call("generateCard", f'{{"title": "{MARK}-title", "body": "b"}}')


@pytest.fixture(scope="module")
def collector() -> Generator[Collector]:
    with Collector() as collector:
        yield collector


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def traced(upstream: Upstream, collector: Collector) -> AsyncGenerator[System]:
    secrets = {
        "MAMBA_OPENAI__API_KEY": f"sk-{MARK}",
        "OTEL_EXPORTER_OTLP_HEADERS": f"x-api-key={MARK}-collector",
        "MAMBA_LOGGING__LEVEL": "DEBUG",
        "MAMBA_RUN__MAX_RETRIES": "1",
        "MAMBA_WORKER__LEASE_SECONDS": "60",
    }
    async with open_system(upstream, {**collector.environment, **secrets}) as system:
        yield system


async def test_one_chat_is_one_trace(traced: System, collector: Collector, name: str) -> None:
    await traced.upstream.script(name, [[CARD], [{"text": ["There."]}]])

    response = await ask(traced, chat_request(name, tools=["generateCard"]))

    run_id = response.headers["x-run-id"]
    trace = await collector.trace_of_run(run_id, "process run_chat", "stream")
    ancestors = ["POST /chat", "enqueue run_chat", "process run_chat", "invoke_agent chat"]
    tool = span_named(trace, "execute_tool generateCard")
    assert path_to(trace, tool) == [*ancestors, "execute_tool generateCard"]
    models = [span for span in trace if span.name == f"chat {name}"]
    assert [path_to(trace, model) for model in models] == [[*ancestors, f"chat {name}"]] * 2
    assert path_to(trace, span_named(trace, "stream")) == ["POST /chat", "stream"]
    assert len(trace) == 8
    assert {span.service for span in trace} == {"mamba-api", "mamba-worker"}
    assert not any(span.failed for span in trace)
    root, attempt = span_named(trace, "POST /chat"), span_named(trace, "process run_chat")
    assert root.kind == "server"
    assert root.attributes["mamba.run.id"] == attempt.attributes["mamba.run.id"] == run_id
    assert root.ended_at < span_named(trace, "stream").ended_at
    assert attempt.kind == "consumer"
    assert models[0].attributes["gen_ai.usage.output_tokens"] == 2


async def test_log_lines_contain_trace_and_span_ids(
    traced: System, collector: Collector, name: str
) -> None:
    await traced.upstream.script(name, [[{"text": ["Hello"]}]])

    response = await ask(traced, chat_request(name), {"x-request-id": name})

    trace = await collector.trace_of_run(response.headers["x-run-id"], "process run_chat", "stream")
    for process, span in (
        (traced.apis[0], span_named(trace, "POST /chat")),
        (traced.workers[0], span_named(trace, "process run_chat")),
    ):
        found = [line for line in log_lines(process) if line.get("request_id") == name]
        assert {line["trace_id"] for line in found} == {span.trace_id}
        assert span.id in {line["span_id"] for line in found}


async def test_incoming_trace_context_is_continued(
    traced: System, collector: Collector, name: str
) -> None:
    await traced.upstream.script(name, [[{"text": ["Hello"]}]])
    headers = {
        "traceparent": f"00-{TRACE}-{SPAN}-01",
        "tracestate": "vendor=value",
        "baggage": f"gen_ai.agent.name={MARK}",
    }

    response = await ask(traced, chat_request(name), headers)

    names = ("POST /chat", "process run_chat")
    trace = await collector.trace_of_run(response.headers["x-run-id"], *names)
    assert {span.trace_id for span in trace} == {TRACE}
    assert span_named(trace, "POST /chat").parent == SPAN
    [upstream] = await traced.upstream.requests(name)
    assert "traceparent" not in upstream["headers"]


async def test_unsampled_request_produces_no_spans(
    traced: System, collector: Collector, name: str
) -> None:
    other = f"{name}-sampled"
    for model in (name, other):
        await traced.upstream.script(model, [[{"text": ["Hello"]}]])

    await ask(traced, chat_request(name), {"traceparent": f"00-{TRACE[::-1]}-{SPAN}-00"})
    sampled = await ask(traced, chat_request(other))

    await collector.trace_of_run(sampled.headers["x-run-id"], "process run_chat", "stream")
    assert not [span for span in collector.spans if span.trace_id == TRACE[::-1]]


async def _is_found(client: httpx.AsyncClient, path: str) -> bool:
    """Whether a probe succeeds: at first, the API has not yet seen the worker."""
    return (await client.get(path)).status_code == 200


async def test_probes_are_not_traced(traced: System, collector: Collector) -> None:
    async with httpx.AsyncClient(base_url=traced.apis[0].url, timeout=30) as client:
        for path in ("/health", "/health/live", "/health/ready", "/metrics"):
            await until(lambda path=path: _is_found(client, path))
        await client.get(f"/{MARK}?secret={MARK}")

    [other] = await collector.find(lambda s: s.attributes.get("http.response.status_code") == 404)
    assert other.name == "GET"
    assert not [span for span in collector.spans if "health" in span.name or "met" in span.name]


async def test_later_follow_links_to_the_trace_of_the_run(
    traced: System, collector: Collector, sse: SseClient, name: str
) -> None:
    await traced.upstream.script(name, [[{"text": ["Hello"]}]])
    response = await ask(traced, chat_request(name, id=f"{MARK}-{name}"))

    await sse.replay(traced.chat, f"{MARK}-{name}")

    run_id = response.headers["x-run-id"]
    [follow] = await collector.find(
        lambda s: s.name == "GET /chat/{chat_id}/stream" and s.attributes["mamba.run.id"] == run_id
    )
    trace = await collector.trace_of_run(run_id)
    assert follow.links == [trace[0].trace_id]
    assert follow.trace_id != trace[0].trace_id


async def test_title_is_traced(traced: System, collector: Collector, name: str) -> None:
    await traced.upstream.script(name, [[{"text": [f"{MARK} title"]}]])
    async with httpx.AsyncClient(base_url=traced.apis[0].url, timeout=30) as client:
        body = {"message": f"{MARK}-prompt", "model": name}
        assert (await client.post("/title/generate", json=body)).json()["source"] == "model"

    [job] = await collector.find(lambda s: s.name == "process generate_title")
    ancestors = ["POST /title/generate", "enqueue generate_title", "process generate_title"]
    [model] = await collector.find(lambda s: s.name == f"chat {name}")
    await collector.find(lambda s: s.name == "POST /title/generate")
    trace = [span for span in collector.spans if span.trace_id == job.trace_id]
    assert path_to(trace, model) == [*ancestors, "invoke_agent title", f"chat {name}"]


async def test_research_agent_tools_are_traced(
    traced: System, collector: Collector, name: str
) -> None:
    find = call("search_notes", f'{{"query": "worker killed {MARK}"}}')
    await traced.upstream.script(name, [[find], [{"text": ["So."]}]])

    response = await ask(traced, chat_request(name, agent="research"))

    trace = await collector.trace_of_run(response.headers["x-run-id"], "process run_chat")
    tool = span_named(trace, "execute_tool search_notes")
    assert path_to(trace, tool)[-3:] == ["process run_chat", "invoke_agent research", tool.name]


async def test_second_attempt_belongs_to_the_same_trace(
    traced: System, collector: Collector, name: str
) -> None:
    await traced.upstream.script(name, [[{"text": ["Hello"]}]], [{"status": 500, "body": ECHO}])

    response = await ask(traced, chat_request(name))

    spans = ["process run_chat", "process run_chat", "stream"]
    trace = await collector.trace_of_run(response.headers["x-run-id"], *spans)
    assert attempts(trace) == [(1, "failed"), (2, "ended")]
    [failed] = [span for span in trace if span.attributes.get("mamba.outcome") == "failed"]
    assert failed.attributes["mamba.run.error"] == failed.attributes["error.type"] == "model_error"
    assert failed.failed


async def test_traces_contain_no_user_content_and_no_secrets(
    traced: System, collector: Collector, name: str
) -> None:
    upstream = traced.upstream
    failures: list[Json] = [
        {"status": 401, "body": ECHO},
        {"status": 400, "body": ECHO},
        {"status": 429, "body": ECHO, "headers": {"retry-after": "0"}},
        {"cut_before_headers": True},
        {"raw": f'data: {{"error": {{"message": "{MARK}"}}}}\n\n'},
    ]
    prompt = f"{MARK}-prompt and {MARK} words"
    tool = {
        "name": "look",
        "description": f"{MARK} words",
        "inputSchema": {"type": "object", "properties": {MARK: {"type": "string"}}},
    }
    headers = {"authorization": f"Bearer {MARK}", "cookie": f"a={MARK}", "user-agent": MARK}
    bodies = {
        "form": chat_request(f"{name}-form", prompt, tools=["generateForm"]),
        "unknown": chat_request(f"{name}-unknown", prompt),
        "look": chat_request(f"{name}-look", prompt, clientTools=[tool], id=f"{MARK} chat"),
    }
    await upstream.script(
        f"{name}-form", [[call("generateForm", f'{{"{MARK}": 1')], [{"text": [f"{MARK} a"]}]]
    )
    await upstream.script(
        f"{name}-unknown", [[call(f"{MARK} tool", f'{{"{MARK}": 1}}')], [{"text": ["done"]}]]
    )
    await upstream.script(f"{name}-look", [[call("look", f'{{"{MARK}": "{MARK}"}}')]])
    for index, failure in enumerate(failures):
        bodies[str(index)] = chat_request(f"{name}-{index}", prompt)
        await upstream.script(f"{name}-{index}", [[{"text": [MARK]}]], [failure, failure])

    runs = [(await ask(traced, body, headers)).headers["x-run-id"] for body in bodies.values()]

    for run_id in runs:
        await collector.trace_of_run(run_id, "process run_chat", "stream")
    failed = [span for span in collector.spans if span.failed]
    assert {span.attributes.get("error.type") for span in failed} >= {"model_auth", "rate_limited"}
    span_events = [event for span in failed for event in span.events]
    assert span_events
    assert all(attributes.keys() == {"exception.type"} for _, attributes in span_events)
    assert all(headers["x-api-key"] == f"{MARK}-collector" for headers in collector.headers)
    assert not [span for span in collector.spans if MARK in str(span)]
    assert not [body for body in collector.bodies if MARK.encode() in body]
    for process in (*traced.apis, *traced.workers):
        assert not [line for line in process.output.splitlines() if MARK in line]


@pytest.mark.parametrize(
    ("number", "outcome"), [(signal.SIGKILL, "crashed"), (signal.SIGTERM, "handed_over")]
)
async def test_attempts_of_two_workers_are_in_one_trace(
    upstream: Upstream, name: str, number: signal.Signals, outcome: str
) -> None:
    await upstream.script(name, [[{"text": ["Hel"]}, WAIT, {"text": ["lo"]}], [{"text": ["lo"]}]])
    with Collector() as collector:
        env = {**collector.environment, "MAMBA_WORKER__DRAIN_SECONDS": "0"}
        async with open_system(upstream, env) as system:
            first, second = system.workers[0], Worker(system.valkey.url, upstream.base_url, env)
            asking = asyncio.create_task(ask(system, chat_request(name)))
            await upstream.until(name, lambda requests: len(requests) == 1)
            first.send(number)
            await first.ended()
            system.workers.append(second.start())
            await upstream.release(name)
            response = await asking
            await collector.find(lambda s: s.attributes.get("mamba.outcome") == "ended")
            trace = await collector.trace_of_run(response.headers["x-run-id"])

    assert attempts(trace) == [(1, outcome), (2, "ended")]
