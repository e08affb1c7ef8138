"""The operator console in a real browser, with a running deployment."""

import json
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from shared.api_key import hash_of, new_api_key
from shared.monitoring.metrics_history import Sample
from shared.redis import keys
from tests.support.browser.accessibility import accessibility_violations
from tests.support.browser.page import Browser
from tests.support.browser.window import Window, open_window
from tests.support.processes import Api, start_all, stop_all
from tests.support.sse_client import Json, SseClient, Stream
from tests.support.system.running_system import System, enqueue_run
from tests.support.webhook_receiver import SECRET

pytestmark = pytest.mark.asyncio(loop_scope="session")

PAUSED: list[list[Json]] = [[{"text": ["Hel"]}, {"wait": True}, {"text": ["lo"]}]]
HOSTILE = "<img src=x onerror=\"document.title='owned'\">"
#: The texts that do not fit into their elements.
CLIPPED_TEXT = """[
  ...[...document.querySelectorAll('.metric .note')]
    .filter(note => note.scrollWidth > note.clientWidth).map(note => note.innerText),
  ...[...document.querySelectorAll('.search input')].filter(input => {
    const context = document.createElement('canvas').getContext('2d');
    context.font = getComputedStyle(input).font;
    return context.measureText(input.placeholder).width > input.clientWidth;
  }).map(input => input.placeholder),
]"""
USER, OPERATOR = new_api_key(), new_api_key()
API_KEY_ENV = {
    "MAMBA_AUTH__MODE": "api_key",
    "MAMBA_AUTH__API_KEYS": json.dumps(
        [
            {"name": "app", "hash": hash_of(USER)},
            {"name": "ops", "hash": hash_of(OPERATOR), "scopes": ["operator"]},
        ]
    ),
}


@pytest.fixture
def window(browser: Browser, workerless: System) -> Generator[Window]:
    """A window with the console of an empty deployment. Browser errors and foreign URLs fail it."""
    with open_window(browser) as window:
        window.visit(f"{workerless.apis[0].url}/ops")
        window.wait_for_text("Live", ".connection")
        yield window
        assert window.errors() == []
        assert all(url.startswith(workerless.apis[0].url) for url in window.requested_urls())


@asynccontextmanager
async def running_stream(system: System, sse: SseClient, name: str) -> AsyncGenerator[Stream]:
    """A stream that is paused in the middle of its answer."""
    await system.upstream.script(name, PAUSED)
    async with sse.ask(system.chat, name, model=name) as stream:
        await stream.until("text-delta")
        yield stream


async def test_empty_deployment_shows_how_to_start_a_worker(window: Window) -> None:
    window.wait_for_text("no live workers", ".strip")
    window.wait_for_text("Start one with mamba worker", ".workers, .card")
    window.wait_for_text("No recent failures")
    assert window.evaluate("document.title") == "(0) Mamba console"


async def test_run_is_listed_and_followed_live(
    window: Window, workerless: System, sse: SseClient, name: str
) -> None:
    async with workerless.start_workers(1), running_stream(workerless, sse, name) as stream:
        window.wait_for_text("1 / 256", '[data-metric="Running"]')
        window.wait_for_text("all serving", '[data-metric="Workers"]')
        window.wait_for_text(stream.run_id, ".runs")
        window.wait_for_text(stream.run_id[:8], ".workers")
        window.click(".runs .row-link", stream.run_id)
        window.wait_for_text("Hel", ".answer")
        window.wait_for_text("running", ".panel-bar")
        await workerless.upstream.release(name)
        rest = await stream.rest()
        assert rest[-2].chunk["type"] == "finish"
        window.wait_for_text("Hello", ".answer")
        window.wait_for_text("succeeded", ".panel-bar")
        window.wait_for_text("No runs are waiting", ".columns")
    window.press("Escape")
    window.wait_until("!document.querySelector('.panel')")


async def test_charts_are_drawn(
    window: Window, workerless: System, sse: SseClient, name: str
) -> None:
    drawn = (
        "[...document.querySelectorAll('.chart canvas')].map(canvas =>"
        " canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data"
        ".some(byte => byte))"
    )
    async with workerless.start_workers(1), running_stream(workerless, sse, name):
        window.wait_until("!document.querySelector('.chart .empty')")
        window.wait_until(f"{drawn}.length === 5 && {drawn}.every(Boolean)")
        window.wait_for_text("1", '[data-chart="Queue"] dd')
        window.click(".switch button", "5 min")
        window.wait_until("document.querySelector('[aria-pressed=true]').innerText === '5 min'")
        await workerless.upstream.release(name)


async def test_isolated_sample_is_visible_on_its_chart(window: Window, workerless: System) -> None:
    drawn = """(() => {
      const canvas = document.querySelector('[data-chart="First token"] canvas');
      const style = getComputedStyle(document.documentElement).getPropertyValue('--high');
      const [r, g, b] = style.trim().slice(1).match(/../g).map(hex => parseInt(hex, 16));
      const {data} = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
      let count = 0;
      for (let at = 0; at < data.length; at += 4)
        count += data[at] === r && data[at + 1] === g && data[at + 2] === b && data[at + 3] === 255;
      return count; })()"""
    sample: Any = dict.fromkeys(Sample.model_fields, 0) | {"at": time.time_ns() // 1_000_000}
    sample |= {"first_token_p50_ms": 400, "first_token_p95_ms": 900, "wait_p50_ms": None}
    async with workerless.redis() as redis:
        fields = ["sample", json.dumps(sample)]
        await redis.execute_command("XADD", keys.SAMPLES, "*", *fields)
        await redis.execute_command("PEXPIRE", keys.SAMPLES, 600_000)
    window.wait_for_text("400 ms", '[data-metric="First token"]')
    window.wait_until(f"{drawn} >= 4")


async def test_axis_labels_are_unique(window: Window, workerless: System) -> None:
    """Records the texts drawn on each canvas since it was last cleared."""
    record_texts = """(() => {
      const context = CanvasRenderingContext2D.prototype, {clearRect, fillText} = context;
      context.clearRect = function (...box) {
        this.canvas.texts = [];
        clearRect.apply(this, box);
      };
      context.fillText = function (text, ...position) {
        (this.canvas.texts ??= []).push(text);
        fillText.call(this, text, ...position);
      };
    })()"""
    axes = "[...document.querySelectorAll('.chart canvas')].map(canvas => canvas.texts ?? [])"
    async with workerless.redis() as redis:
        await enqueue_run(redis)
    window.call("Page.addScriptToEvaluateOnNewDocument", source=record_texts)
    window.visit(f"{workerless.apis[0].url}/ops")
    window.wait_for_text("1", '[data-chart="Queue"] dl div:nth-child(2) dd')
    for minutes in ("5 min", "15 min", "1 h"):
        window.click(".switch button", minutes)
        window.wait_for_text(minutes, ".switch [aria-pressed=true]")
        window.wait_until(f"{axes}.length === 5 && {axes}.every(texts => texts.length > 3)")
        for labels in window.evaluate(axes):
            assert len(set(labels)) == len(labels)


async def test_confirmed_stop_ends_the_run_for_its_client(
    window: Window, workerless: System, sse: SseClient, name: str
) -> None:
    async with workerless.start_workers(1), running_stream(workerless, sse, name) as stream:
        window.click(".runs .row-link", stream.run_id)
        window.click(".panel-bar button", "Stop")
        window.wait_for_text("Stop this run?", "dialog")
        window.click("dialog button", "Cancel")
        window.wait_until("!document.querySelector('dialog')")
        window.click(".panel-bar button", "Stop")
        window.click("dialog button", "Stop the run")
        window.wait_for_text(f"Run {stream.run_id} is cancelled.", ".toast")
        rest = await stream.rest()

    assert rest[-2].chunk["type"] == "abort"
    window.wait_for_text("cancelled", ".panel-bar")
    window.wait_for_text("Stopped.", ".answer")


async def test_failed_run_shows_its_code_and_remedy(
    window: Window, workerless: System, sse: SseClient, name: str
) -> None:
    await workerless.upstream.script(name, PAUSED, [{"status": 401}])
    async with workerless.start_workers(1), sse.ask(workerless.chat, name, model=name) as stream:
        await stream.rest()

        window.wait_for_text("model_auth", ".failures")
        window.wait_for_text("The model refused the server's credentials.", ".failures")
        window.wait_for_text("Set a valid key", ".failures")
        window.click(".failures .row-link")
        window.wait_for_text("Code: model_auth", ".answer")
        state = "document.querySelector('.panel-bar .state')"
        window.wait_until(f"getComputedStyle({state}).display === 'flex'")


async def test_deferred_run_is_requeued(
    window: Window, workerless: System, sse: SseClient, name: str
) -> None:
    async with sse.ask(workerless.chat, name, model=name) as stream:
        async with workerless.redis() as redis:
            await redis.execute_command("ZADD", keys.QUEUE, 9e15, stream.run_id)
        window.wait_for_text("deferred", ".runs")
        window.click(".runs .row-link", stream.run_id)
        window.click(".panel-bar button", "Requeue")
        window.click("dialog button", "Requeue the run")
        window.wait_for_text("is due now in queue main.", ".toast")
        window.wait_for_text("waiting", ".runs")
        window.wait_until("document.title === '(1) Mamba console'")


async def test_confirmed_drain_ends_the_worker(window: Window, workerless: System) -> None:
    async with workerless.start_workers(1) as [worker]:
        window.click(".workers button", "Drain")
        window.wait_until("document.querySelector('dialog .id').innerText.length > 0")
        assert window.text("dialog .id") == window.text(".worker-head .id")
        window.click("dialog button", "Drain the worker")
        window.wait_for_text("takes no new runs", ".toast")

        assert await worker.ended() == 0
    window.wait_for_text("no live workers", ".strip")


async def test_hostile_content_is_shown_as_text(
    window: Window, workerless: System, sse: SseClient, name: str
) -> None:
    script: list[list[Json]] = [[{"text": [HOSTILE]}, {"wait": True}]]
    await workerless.upstream.script(name, script)
    async with workerless.redis() as redis:
        await enqueue_run(redis, agent=HOSTILE, model=HOSTILE)
        await enqueue_run(redis, id="bad", state="failed", error=HOSTILE, agent=HOSTILE, ended_at=1)
        await redis.execute_command("LPUSH", keys.FAILED_RUNS, "bad")
        await redis.execute_command("PEXPIRE", keys.FAILED_RUNS, 60_000)
        window.wait_for_text(HOSTILE, ".runs")
        window.wait_for_text(HOSTILE, ".failures")
        await redis.execute_command("ZREM", keys.QUEUE, "hostile", "bad")
    async with workerless.start_workers(1), sse.ask(workerless.chat, name, model=name) as stream:
        window.click(".runs .row-link", stream.run_id)
        window.wait_for_text(HOSTILE, ".answer")
        await workerless.upstream.release(name)

    assert window.evaluate("document.images.length") == 0
    assert "owned" not in window.evaluate("document.title")


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_page_meets_wcag_aa_in_both_themes(
    window: Window, workerless: System, sse: SseClient, name: str, scheme: str
) -> None:
    window.set_color_scheme(scheme)
    await workerless.upstream.script(f"{name}-401", PAUSED, [{"status": 401}])
    async with workerless.start_workers(1), running_stream(workerless, sse, name) as stream:
        async with sse.ask(workerless.chat, f"{name}-401", model=f"{name}-401") as failing:
            await failing.rest()
        window.wait_for_text("model_auth", ".failures")
        page = accessibility_violations(window)
        window.click(".runs .row-link", stream.run_id)
        window.wait_for_text("Hel", ".answer")
        window.click(".panel-bar button", "Stop")
        panel = accessibility_violations(window)
        await workerless.upstream.release(name)

    assert window.evaluate("document.documentElement.dataset.theme") == scheme
    assert (page, panel) == ([], [])


async def test_chosen_theme_overrides_the_system_theme(window: Window) -> None:
    theme = "document.documentElement.dataset.theme"
    window.set_color_scheme("dark")
    window.wait_until(f"{theme} === 'dark'")

    window.click("[aria-label='Theme: system']")

    window.wait_until(f"{theme} === 'light'")
    window.click("[aria-label='Theme: light']")
    window.click("[aria-label='Theme: dark']")


@pytest.mark.parametrize("width", [360, 768, 1440])
async def test_layout_fits_the_screen_without_clipped_text(
    window: Window, workerless: System, sse: SseClient, name: str, width: int
) -> None:
    window.resize(width, 800, phone=width < 1000)
    fits = "document.documentElement.scrollWidth <= innerWidth"
    async with workerless.start_workers(1), running_stream(workerless, sse, name) as stream:
        window.wait_for_text(stream.run_id, ".runs")
        window.wait_for_text("slots", ".strip")
        assert window.evaluate(fits)
        assert window.evaluate(CLIPPED_TEXT) == []
        window.evaluate("document.querySelector('.charts').scrollIntoView()")
        under = "document.querySelector('.charts').getBoundingClientRect().top"
        assert window.evaluate(f"{under} >= document.querySelector('.head').offsetHeight")
        window.click(".runs .row-link", stream.run_id)
        window.wait_for_text("Hel", ".answer")
        assert window.evaluate(fits)
        box = "document.querySelector('.panel').getBoundingClientRect()"
        window.wait_until(f"{box}.x >= 0 && {box}.right <= {width}")
        await workerless.upstream.release(name)


async def test_undelivered_webhooks_are_counted(browser: Browser, workerless: System) -> None:
    variables = {"URL": "https://crm.example.com", "SECRET": SECRET}
    env = {f"MAMBA_WEBHOOKS__CRM__{name}": value for name, value in variables.items()}
    api = Api(workerless.valkey.url, env)
    await start_all(api)
    try:
        with open_window(browser) as window:
            window.resize(1440, 800)
            window.visit(f"{api.url}/ops")
            window.wait_for_text("all delivered", '[data-metric="Webhooks"]')
            async with workerless.redis() as redis:
                key = keys.webhook_failed("crm")
                await redis.execute_command("ZADD", key, time.time() * 1000, "lost")
                await redis.execute_command("PEXPIRE", key, 60_000)
            window.wait_for_text("1 given up", '[data-metric="Webhooks"]')
            assert window.evaluate(CLIPPED_TEXT) == []
            assert window.evaluate("document.querySelector('.strip').offsetHeight < 140")
    finally:
        await stop_all(api)


async def test_sign_in_explains_rejected_keys(browser: Browser, workerless: System) -> None:
    api = Api(workerless.valkey.url, API_KEY_ENV)
    await start_all(api)
    try:
        with open_window(browser) as window:
            window.visit(f"{api.url}/ops")
            window.wait_for_text("Sign in with a key or token")
            for key, error in (
                ("nonsense", "The API key is unknown"),
                ("“quoted”", "must contain only ASCII letters"),
                (USER, "'operator'"),
            ):
                submit_key(window, key)
                window.wait_for_text(error, "[role=alert]")
                window.wait_until("document.activeElement.id === 'key'")
            submit_key(window, OPERATOR)
            window.wait_for_text("Live", ".connection")
            window.visit(f"{api.url}/ops")
            window.wait_for_text("Live", ".connection")
            window.click("[aria-label='Sign out']")
            window.wait_for_text("Sign in with a key or token")
            assert accessibility_violations(window) == []
    finally:
        await stop_all(api)


def submit_key(window: Window, key: str) -> None:
    window.wait_until("!!document.querySelector('#key')")
    window.evaluate("document.querySelector('#key').focus()")
    window.evaluate("document.querySelector('#key').select()")
    window.type(key)
    window.press("Enter")
