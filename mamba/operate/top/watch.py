"""The output modes of `mamba top`: one snapshot, JSON, or the live screen."""

import asyncio
import io
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, cast

from rich.console import Console
from rich.text import Text

from mamba.cli_errors import CommandFailed, print_now
from mamba.operate.deployment import address, open_deployment, open_unchecked
from mamba.operate.top.screen import View, render
from mamba.operate.top.session import QUIT_SIGNALS, SAMPLES, Session
from shared.settings import Settings
from shared.waiting import wait_briefly

INTERVAL_SECONDS = 2.0
_DEFAULT_WIDTH = 120


def supports_live_screen() -> bool:
    """Return whether the output is a terminal with cursor control."""
    return sys.stdout.isatty() and os.environ.get("TERM", "dumb") not in ("dumb", "unknown")


def print_json(settings: Settings, interval: float | None) -> None:
    """Print one overview. With an interval, print one per line until a signal or a closed pipe."""
    asyncio.run(_print_json(settings, interval))


def print_once(settings: Settings) -> None:
    asyncio.run(_print_once(settings))


def live(settings: Settings, interval: float) -> None:
    """Show the live screen until the user quits. It stays open while Redis is unreachable."""
    asyncio.run(_live(settings, interval))


async def _print_json(settings: Settings, interval: float | None) -> None:
    async with open_deployment(settings) as deployment:
        monitor = deployment.system_monitor()
        with _quit_event() as quitting:
            while not quitting.is_set():
                overview = await monitor.overview(samples=SAMPLES)
                if not print_now(overview.model_dump_json()) or interval is None:
                    return
                await wait_briefly(quitting, interval)


@contextmanager
def _quit_event() -> Generator[asyncio.Event]:
    """Yield an event that is set by a signal to quit."""
    event, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in QUIT_SIGNALS:
        loop.add_signal_handler(number, event.set)
    try:
        yield event
    finally:
        for number in QUIT_SIGNALS:
            loop.remove_signal_handler(number)


async def _print_once(settings: Settings) -> None:
    server = address(settings.redis.url)
    async with open_deployment(settings) as deployment:
        overview = await deployment.system_monitor().overview(samples=SAMPLES)
        if not overview.redis.up:
            raise CommandFailed(f"Redis at {server} is unreachable.")
    console = _console()
    lines = render(overview, View(server), console.width)
    console.print(Text("\n").join(lines), soft_wrap=True)


async def _live(settings: Settings, interval: float) -> None:
    async with open_unchecked(settings) as deployment:
        await Session(deployment, _console(), interval).run()


def _console() -> Console:
    """Use color only on a terminal. Without a known width, leave room for all columns."""
    cast("io.TextIOWrapper[Any]", sys.stdout).reconfigure(errors="replace")
    on_terminal = sys.stdout.isatty()
    width = None if on_terminal or "COLUMNS" in os.environ else _DEFAULT_WIDTH
    return Console(force_terminal=on_terminal, width=width, highlight=False, markup=False)
