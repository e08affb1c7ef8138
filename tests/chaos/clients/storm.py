"""Many clients that connect at the same moment, read the first events of an answer, and drop."""

import asyncio
import random
from collections.abc import Sequence

import httpx

from tests.chaos.clients.view import AnswerView
from tests.support.sse_client import Stream, are_consecutive

_CLIENTS = 60
#: The answers that they follow, newest first.
_ANSWERS = 10
_TIMEOUT_SECONDS = 10.0


async def connection_storm(
    http: httpx.AsyncClient, urls: Sequence[str], views: Sequence[AnswerView], seed: int
) -> None:
    """Let clients connect and drop. What they see wrong is a defect of the answer's view."""
    rng = random.Random(seed)
    started = [view for view in views if view.run_id][-_ANSWERS:]
    if not started:
        return
    async with asyncio.TaskGroup() as group:
        for _ in range(_CLIENTS):
            view, url, count = rng.choice(started), rng.choice(urls), rng.randint(0, 5)
            group.create_task(_connect_and_drop(http, url, view, count))


async def _connect_and_drop(
    http: httpx.AsyncClient, url: str, view: AnswerView, count: int
) -> None:
    url = f"{url}/chat/{view.question.chat}/stream"
    headers = {"last-event-id": f"0-0@{view.run_id}"}
    try:
        async with (
            asyncio.timeout(_TIMEOUT_SECONDS),
            http.stream("GET", url, headers=headers) as response,
        ):
            if response.status_code == 200:
                await _check_events(Stream(response), view, count)
            elif response.status_code != 503:
                view.defects.append(("failed", f"a follower received {response.status_code}"))
    except (httpx.TransportError, AssertionError, TimeoutError):
        pass  # another fault, or the server is busy with this storm


async def _check_events(stream: Stream, view: AnswerView, count: int) -> None:
    events = await stream.read(count)
    if not are_consecutive(events):
        view.defects.append(("wrong", f"a follower received {[event.id for event in events]}"))
