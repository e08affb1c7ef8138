"""Systems whose processes export traces, and helpers to read traces and logs."""

import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx

from tests.support.processes import Api, ServerProcess, Valkey, Worker
from tests.support.system.running_system import System, kill_process
from tests.support.tracing.otlp_collector import ReceivedSpan
from tests.support.upstream.client import Upstream


@asynccontextmanager
async def open_system(upstream: Upstream, env: Mapping[str, str]) -> AsyncGenerator[System]:
    """Start one API and one worker with these variables. Any exit status is accepted."""
    valkey = Valkey()
    system = System(valkey, upstream, [Api(valkey.url, env)])
    system.workers = [Worker(valkey.url, upstream.base_url, env)]
    for process in (valkey, *system.apis, *system.workers):
        process.start()
    try:
        await valkey.ready()
        for process in (*system.apis, *system.workers):
            await process.ready()
        yield system
    finally:
        for process in (*system.apis, *system.workers, valkey):
            await kill_process(process)


def chat_request(model: str, text: str = "Hi", **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": text}], **more}


async def ask(
    system: System, body: Mapping[str, Any], headers: Mapping[str, str] | None = None
) -> httpx.Response:
    """Send a chat request and read the whole answer."""
    async with httpx.AsyncClient(timeout=60) as client:
        response = await client.post(system.chat, json=body, headers=headers)
    assert response.status_code == 200, response.text
    return response


def log_lines(process: ServerProcess) -> list[dict[str, Any]]:
    return [json.loads(line) for line in process.output.splitlines()]


def logged_events(process: ServerProcess) -> list[str]:
    return [line["event"] for line in log_lines(process)]


def span_named(trace: Sequence[ReceivedSpan], name: str) -> ReceivedSpan:
    [found] = [span for span in trace if span.name == name]
    return found


def path_to(trace: Sequence[ReceivedSpan], span: ReceivedSpan) -> list[str]:
    """The span names from the root to a span."""
    parents = [other for other in trace if other.id == span.parent]
    return [*(path_to(trace, parents[0]) if parents else []), span.name]


def attempts(trace: Sequence[ReceivedSpan]) -> list[tuple[int, str]]:
    """The number and the outcome of each attempt, sorted by number."""
    found = [span.attributes for span in trace if span.name == "process run_chat"]
    return sorted((each["mamba.attempt"], each["mamba.outcome"]) for each in found)
