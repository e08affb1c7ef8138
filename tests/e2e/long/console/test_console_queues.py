"""Pauses and owners in the console, in a real browser."""

from collections.abc import Generator

import pytest

from tests.support.browser.accessibility import accessibility_violations
from tests.support.browser.page import Browser
from tests.support.browser.window import Window, open_window
from tests.support.sse_client import SseClient
from tests.support.system.commands import mamba
from tests.support.system.running_system import System

pytestmark = pytest.mark.asyncio(loop_scope="session")

FITS = "document.documentElement.scrollWidth <= innerWidth"


@pytest.fixture
def window(browser: Browser, workerless: System) -> Generator[Window]:
    with open_window(browser) as window:
        window.visit(f"{workerless.apis[0].url}/ops")
        window.wait_for_text("Live", ".connection")
        yield window


def confirm(window: Window, label: str) -> None:
    window.click("dialog button", label)
    window.wait_until("!document.querySelector('dialog')")


async def test_paused_intake_is_named_until_it_is_resumed(
    window: Window, workerless: System, sse: SseClient, name: str
) -> None:
    window.click(".queues button", "Pause intake")
    window.wait_for_text("main", "dialog .id")
    window.wait_for_text("New runs are refused", "dialog")
    confirm(window, "Pause the intake")
    window.wait_for_text("The intake of the queue main is paused.", ".toast")
    window.wait_for_text("The intake of main is paused.", ".pause")
    window.wait_for_text("by none::anonymous", ".pause")
    window.wait_for_text("intake paused", '[data-queue="main"]')
    assert "Pause intake" not in window.text(".queues")
    refused = await sse.post(workerless.chat, name)

    window.click(".pause button", "Resume")
    confirm(window, "Resume the intake")
    window.wait_for_text("The intake of the queue main has resumed.", ".toast")
    window.wait_until("!document.querySelector('.pause')")
    async with sse.ask(workerless.chat, name) as stream:
        assert stream.run_id

    assert refused.json()["code"] == "intake_paused"


async def test_paused_processing_marks_the_waiting_runs(
    window: Window, workerless: System, sse: SseClient, name: str
) -> None:
    window.click(".queues button", "Pause processing")
    confirm(window, "Pause the processing")
    async with workerless.start_workers(1), sse.ask(workerless.chat, name):
        window.wait_for_text("processing paused", '[data-queue="main"]')
        window.wait_for_text("paused", '[data-metric="Waiting"] .note')


async def test_pause_of_all_queues_is_shown_and_resumed(window: Window, workerless: System) -> None:
    assert (await mamba(workerless, "queue", "pause", "intake")).code == 0
    window.wait_for_text("The intake of all queues is paused.", ".pause")
    window.wait_for_text("ago by cli:", ".pause")

    window.click(".pause button", "Resume")
    confirm(window, "Resume the intake")

    window.wait_until("!document.querySelector('.pause')")


async def test_several_queues_are_paused_together(window: Window, workerless: System) -> None:
    async with workerless.start_workers(1, WORKER__QUEUES='["main", "research"]'):
        window.wait_for_text("research", ".queues")
        window.click(".section-head button", "Pause all processing")
        window.wait_for_text("all queues", "dialog .id")
        confirm(window, "Pause the processing")
        window.wait_for_text("processing paused", '[data-queue="main"]')
        window.wait_for_text("processing paused", '[data-queue="research"]')


async def test_expected_wait_is_shown_once_a_worker_serves_the_queue(
    window: Window, workerless: System
) -> None:
    cell = "document.querySelectorAll('[data-queue=main] td')[4].innerText"
    window.wait_until(f"{cell} === '–'")
    async with workerless.start_workers(1):
        window.wait_until(f"{cell} === '0 s'")


async def test_owners_are_listed_with_their_runs(
    window: Window, workerless: System, sse: SseClient, name: str
) -> None:
    window.wait_for_text("No runs are waiting or running.", "[aria-labelledby=owners-title]")
    async with sse.ask(workerless.chat, name), sse.ask(workerless.chat, f"{name}-2"):
        window.wait_for_text("none::anonymous", ".owners")
        cells = "[...document.querySelectorAll('.owners tbody tr > *')].map(cell => cell.innerText)"
        window.wait_until(f"{cells}.slice(0, 4).join() === 'none::anonymous,main,2,0'")
        assert window.evaluate(cells)[5] == "1"


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_pauses_and_owners_are_accessible_and_fit_a_phone(
    window: Window, workerless: System, sse: SseClient, name: str, scheme: str
) -> None:
    window.set_color_scheme(scheme)
    async with sse.ask(workerless.chat, name):
        await mamba(workerless, "queue", "pause", "processing")
        await mamba(workerless, "queue", "pause", "intake", "main")
        window.wait_for_text("intake paused", ".queues")
        window.wait_for_text("processing paused", ".queues")
        window.wait_for_text("none::anonymous", ".owners")
        page = accessibility_violations(window)
        window.resize(360, 800, phone=True)
        assert window.evaluate(FITS)
        phone = accessibility_violations(window)

    assert (page, phone) == ([], [])
