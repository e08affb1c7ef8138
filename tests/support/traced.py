"""Houses whose processes send their traces to a collector of the test's."""

import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx

from tests.e2e.conftest import System, end
from tests.support.otlp_collector import Told
from tests.support.processes import Api, ServerProcess, Valkey, Worker
from tests.support.upstream.client import Upstream


@asynccontextmanager
async def open_house(upstream: Upstream, env: Mapping[str, str]) -> AsyncGenerator[System]:
    """One API and one worker, with these variables; how they end is no matter."""
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
            await end(process)


def asked(model: str, text: str = "Hi", **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": text}], **more}


async def ask(
    system: System, body: Mapping[str, Any], headers: Mapping[str, str] | None = None
) -> httpx.Response:
    """The whole answer."""
    async with httpx.AsyncClient(timeout=60) as client:
        response = await client.post(system.chat, json=body, headers=headers)
    assert response.status_code == 200, response.text
    return response


def lines(process: ServerProcess) -> list[dict[str, Any]]:
    return [json.loads(line) for line in process.output.splitlines()]


def events(process: ServerProcess) -> list[str]:
    return [line["event"] for line in lines(process)]


def named(trace: Sequence[Told], name: str) -> Told:
    [found] = [span for span in trace if span.name == name]
    return found


def way_to(trace: Sequence[Told], span: Told) -> list[str]:
    """The names from the root down to a span."""
    above = [one for one in trace if one.id == span.parent]
    return [*(way_to(trace, above[0]) if above else []), span.name]


def attempts(trace: Sequence[Told]) -> list[tuple[int, str]]:
    """The number and the outcome of each attempt, in their order."""
    found = [span.attributes for span in trace if span.name == "process run_chat"]
    return sorted((told["mamba.attempt"], told["mamba.outcome"]) for told in found)
