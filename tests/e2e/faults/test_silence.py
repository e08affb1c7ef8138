"""Connect, first-token and silence timeouts, each with its error code."""

import asyncio
import socket
from collections.abc import Generator
from contextlib import ExitStack, contextmanager

import pytest

from tests.support.sse_client import Json, SseClient, check_whole, error_detail, text
from tests.support.system.running_system import System

pytestmark = pytest.mark.asyncio(loop_scope="session")

HELLO: list[list[Json]] = [[{"text": ["Hel", "lo", " world"]}]]
SILENCES: dict[str, tuple[Json, str, str]] = {
    "before the headers": ({"silent_before_headers": True}, "first_token_timeout", ""),
    "before the first token": ({"silence_after": 0}, "first_token_timeout", ""),
    "before the first token, with comments": (
        {"silence_after": 0, "comments": True},
        "first_token_timeout",
        "",
    ),
    "between tokens": ({"silence_after": 1}, "silence_timeout", "Hello"),
    "between tokens, with comments": (
        {"silence_after": 1, "comments": True},
        "silence_timeout",
        "Hello",
    ),
}


async def test_silent_model_times_out_while_clients_get_keep_alives(
    workerless: System, sse: SseClient, name: str
) -> None:
    async def ask(number: int, silence: Json, code: str, expected: str) -> None:
        model = f"{name}-{number}"
        await workerless.upstream.script(model, HELLO, [silence] * 2)
        async with sse.ask(workerless.chat, model, model=model) as stream:
            events = await stream.rest()
        check_whole(events, ending="error")
        assert error_detail(events)["code"] == code
        assert text(events) == expected
        assert ": keep-alive" in stream.comments
        requests = await workerless.upstream.until(
            model, lambda got: all(request["outcome"] == "client-closed" for request in got)
        )
        assert len(requests) == 2

    async with workerless.start_workers(
        RUN__MAX_RETRIES=1,
        OPENAI__FIRST_TOKEN_TIMEOUT_SECONDS=4,
        OPENAI__TIMEOUT_SECONDS=2,
        WORKER__LEASE_SECONDS=60,
    ):
        await asyncio.gather(*(ask(n, *case) for n, case in enumerate(SILENCES.values())))


async def test_unreachable_model_fails_with_connect_timeout(
    workerless: System, sse: SseClient, name: str
) -> None:
    with overrun_port() as port:
        async with workerless.start_workers(
            RUN__MAX_RETRIES=1,
            OPENAI__BASE_URL=f"http://127.0.0.1:{port}/v1",
            OPENAI__CONNECT_TIMEOUT_SECONDS=0.2,
        ):
            events = await sse.answer(workerless.chat, name, model=name)

    check_whole(events, ending="error")
    assert error_detail(events)["code"] == "connect_timeout"


async def test_endpoint_retries_override_run_retries(
    workerless: System, sse: SseClient, name: str
) -> None:
    await workerless.upstream.script(name, HELLO, [{"status": 500}] * 3)

    async with workerless.start_workers(
        RUN__MAX_RETRIES=1, OPENAI__MAX_RETRIES=0, WORKER__LEASE_SECONDS=60
    ):
        events = await sse.answer(workerless.chat, name, model=name)

    check_whole(events, ending="error")
    assert len(await workerless.upstream.requests(name)) == 1


@contextmanager
def overrun_port() -> Generator[int]:
    """A port that accepts no connections and whose backlog is full."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.settimeout(0)
            waiting.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]
