"""The console while Redis, the API or both are unavailable."""

import base64
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.browser.page import Browser
from tests.support.browser.window import Window, open_window
from tests.support.processes import Api, Valkey, start_all, stop_all
from tests.support.system.running_system import System, enqueue_run, kill_process
from tests.support.wait import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

REDIS_DOWN = "The server cannot reach Redis."
LOST = "Connection to the server lost."


@contextmanager
def open_console(browser: Browser, api: Api) -> Generator[Window]:
    with open_window(browser) as window:
        window.visit(f"{api.url}/ops")
        window.wait_for_text("Live", ".connection")
        yield window


async def test_page_reconnects_after_a_server_restart(browser: Browser, workerless: System) -> None:
    api = Api(workerless.valkey.url)
    await start_all(api)
    try:
        with open_window(browser) as window:
            window.visit(f"{api.url}/ops")
            window.wait_for_text("Live", ".connection")
            await api.kill()
            window.wait_for_text(LOST, ".banner")
            window.wait_until("!!document.querySelector('main.stale')")
            api.start()
            await api.ready()
            window.wait_for_text("Live", ".connection")
            window.wait_until("!document.querySelector('.banner, main.stale')")
    finally:
        await kill_process(api)


async def test_restart_without_redis_keeps_the_last_snapshot(
    browser: Browser, tmp_path: Path
) -> None:
    valkey = Valkey(data=tmp_path)
    await start_all(valkey)
    api = Api(valkey.url)
    await start_all(api)
    redis = valkey.client()
    try:
        await enqueue_run(redis)
        with open_console(browser, api) as window, open_window(browser) as other:
            window.wait_for_text("hostile", ".runs")
            window.wait_for_text("1", '[data-metric="Waiting"] .value')
            await valkey.kill()
            window.wait_for_text(REDIS_DOWN, ".banner")
            await api.kill()
            window.wait_for_text(LOST, ".banner")
            api.start()
            window.wait_for_text(REDIS_DOWN, ".banner")

            assert window.text('[data-metric="Waiting"] .value') == "1"
            assert window.text('[data-metric="Redis"] .value') == "down"
            window.wait_for_text("hostile", ".runs")
            other.visit(f"{api.url}/ops#run=hostile")
            other.wait_for_text(REDIS_DOWN, ".banner")
            other.wait_for_text("no data yet", '[data-metric="Waiting"]')
            await wait_for_response(other, "/ops/runs/hostile", 503)

            valkey.start()
            await valkey.ready()
            other.wait_for_text("queued", ".panel-bar")
            other.wait_for_text("No output yet.", ".answer")
            window.wait_until("!document.querySelector('.banner, main.stale')")
    finally:
        await redis.aclose()
        await kill_process(api)
        await stop_all(valkey)


async def wait_for_response(window: Window, path: str, status: int) -> None:
    async def received() -> bool:
        responses = [event["response"] for event in window.events("Network.responseReceived")]
        return any(
            response["url"].endswith(path) and response["status"] == status
            for response in responses
        )

    await until(received, seconds=60)


async def test_response_without_events_is_a_lost_connection(
    browser: Browser, workerless: System
) -> None:
    page = base64.b64encode(b"<h1>Sign in to the proxy</h1>").decode()
    fulfilled: set[str] = set()

    async def reports_lost_connection() -> bool:
        paused = window.events("Fetch.requestPaused")
        request_ids = {request["requestId"] for request in paused} - fulfilled
        for request_id in request_ids:
            window.call("Fetch.fulfillRequest", requestId=request_id, responseCode=200, body=page)
        fulfilled.update(request_ids)
        return LOST in window.text(".banner")

    with open_window(browser) as window:
        window.call("Fetch.enable", patterns=[{"urlPattern": "*/ops/stream"}])
        window.visit(f"{workerless.apis[0].url}/ops")
        await until(reports_lost_connection, seconds=60)
        window.call("Fetch.disable")
        window.wait_for_text("Live", ".connection")


async def test_unanswered_command_is_not_reported_as_done(
    browser: Browser, workerless: System
) -> None:
    api = Api(workerless.valkey.url)
    await start_all(api)
    try:
        async with workerless.redis() as redis:
            await enqueue_run(redis)
        with open_console(browser, api) as window:
            window.click(".runs .row-link")
            window.click(".panel-bar button", "Stop")
            window.wait_for_text("hostile", "dialog .id")
            await api.kill()
            window.click("dialog button", "Stop the run")
            window.wait_for_text("The server did not respond", ".toast.bad")
    finally:
        await kill_process(api)
