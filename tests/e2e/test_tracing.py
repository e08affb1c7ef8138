"""Traces of real processes, as a collector sees them."""

import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from tests.collector import Collector, Told
from tests.e2e.conftest import House, end
from tests.e2e.wire import Json
from tests.processes import Api, Process, Valkey, Worker, start_all
from tests.upstream.client import Upstream

pytestmark = pytest.mark.asyncio(loop_scope="session")

CARD: Json = {
    "tool": {"id": "call-1", "name": "generateCard", "arguments": '{"title": "A", "body": "b"}'}
}


@asynccontextmanager
async def open_house(
    upstream: Upstream, collector: Collector, *, workers: int = 1, **env: str
) -> AsyncGenerator[House]:
    told = {**collector.environment, **env}
    valkey = Valkey()
    house = House(valkey, upstream, [Api(valkey.url, told)])
    house.workers = [Worker(valkey.url, upstream.base_url, told) for _ in range(workers)]
    try:
        valkey.start()
        await valkey.ready()
        await start_all(*house.apis, *house.workers)
        yield house
    finally:
        for process in (*house.apis, *house.workers, valkey):
            await end(process)


def asked(model: str, **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": "Hi"}], **more}


async def ask(house: House, body: Json, headers: Mapping[str, str] | None = None) -> httpx.Response:
    async with httpx.AsyncClient(timeout=60) as client:
        response = await client.post(house.chat, json=body, headers=headers)
    assert response.status_code == 200, response.text
    return response


def lines(process: Process) -> list[dict[str, Any]]:
    return [json.loads(line) for line in process.output.splitlines()]


def named(spans: Sequence[Told], name: str) -> Told:
    [found] = [span for span in spans if span.name == name]
    return found


def chain(spans: Sequence[Told], span: Told) -> list[str]:
    """The names from the root down to a span."""
    above = [one for one in spans if one.id == span.parent]
    return [*(chain(spans, above[0]) if above else []), span.name]


async def test_one_chat_is_one_trace(upstream: Upstream, name: str) -> None:
    await upstream.script(name, [[CARD], [{"text": ["There."]}]])
    with Collector() as collector:
        async with open_house(upstream, collector) as house:
            response = await ask(house, asked(name, tools=["generateCard"]))
            run_id = response.headers["x-run-id"]
            trace = await collector.of_run(run_id, "process run_chat", "stream")
    for span in trace: print(span)
    assert 0
