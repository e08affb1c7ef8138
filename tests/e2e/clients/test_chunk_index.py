"""Following a run by chunk indexes, as `WorkflowChatTransport` of `@ai-sdk/workflow` does."""

import httpx
import pytest

from tests.support.sse_client import SseClient
from tests.support.system.running_system import System

pytestmark = pytest.mark.asyncio(loop_scope="session")


def data_of(body: str) -> list[str]:
    return [line.removeprefix("data: ") for line in body.splitlines() if line.startswith("data: ")]


async def test_run_can_be_followed_from_each_chunk(
    system: System, sse: SseClient, name: str
) -> None:
    await system.upstream.script(name, [[{"text": ["Hello ", "there"]}]])
    async with sse.ask(system.chat, name, model=name) as stream:
        whole = [event.data for event in await stream.rest()]
        assert stream.response.headers["x-workflow-run-id"] == stream.run_id
    tail = len(whole) - 2  # the last one is `[DONE]`

    async with httpx.AsyncClient(base_url=f"{system.other_chat}/", timeout=30) as http:
        for index in range(-len(whole), tail + 1):
            target = stream.run_id if index % 2 else name
            response = await http.get(f"{target}/stream", params={"startIndex": index})
            first = index if index >= 0 else max(0, tail + 1 + index)
            assert data_of(response.text) == whole[first:]
            assert response.headers["x-workflow-stream-tail-index"] == str(tail)
        after_all = await http.get(f"{name}/stream", params={"startIndex": tail + 1})
        unknown = await http.get("no-such-run/stream", params={"startIndex": 0})

    assert [after_all.status_code, unknown.status_code] == [204, 204]


async def test_client_that_counts_chunks_gets_no_queue_positions(
    workerless: System, sse: SseClient, name: str
) -> None:
    await workerless.upstream.script(name, [[{"text": ["Hello"]}]])
    body = {"id": name, "model": name, "messages": [{"role": "user", "content": "Hi"}]}

    async with (
        httpx.AsyncClient(timeout=30) as http,
        http.stream("POST", f"{workerless.chat}?startIndex=0", json=body) as counted,
        sse.follow(workerless.other_chat, name) as plain,
    ):
        while not plain.queue_positions:
            await plain.comment()
        async with workerless.start_workers():
            received = (await counted.aread()).decode()

    assert '"data-queue"' not in received
    assert data_of(received)[-1] == "[DONE]"
