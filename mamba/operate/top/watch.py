"""`mamba top`: one picture of the house, a line of JSON, or the live screen."""

import asyncio
import io
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import Any, cast

from rich.console import Console
from rich.text import Text

from mamba.cli_errors import CommandFailed, told
from mamba.operate.deployment import address, opened, unasked
from mamba.operate.top.screen import View, picture
from mamba.operate.top.session import LEAVING, SAMPLES, Session
from shared.settings import Settings

INTERVAL_SECONDS = 2.0
_WIDTH = 120


def is_possible() -> bool:
    """Whether the output is a terminal that can be drawn on."""
    return sys.stdout.isatty() and os.environ.get("TERM", "dumb") not in ("dumb", "unknown")


def print_json(settings: Settings, interval: float | None) -> None:
    """One overview, or with an interval a line for each until a signal, or the reader, ends it."""
    asyncio.run(_json(settings, interval))


def print_once(settings: Settings) -> None:
    asyncio.run(_once(settings))


def live(settings: Settings, interval: float) -> None:
    """Until `q`, or a signal; a Redis that is away is waited for."""
    asyncio.run(_live(settings, interval))


async def _json(settings: Settings, interval: float | None) -> None:
    async with opened(settings) as house:
        observatory = house.observatory()
        with _until_signalled() as leaving:
            while not leaving.is_set():
                seen = await observatory.overview(samples=SAMPLES)
                if not told(seen.model_dump_json()) or interval is None:
                    return
                with suppress(TimeoutError):
                    async with asyncio.timeout(interval):
                        await leaving.wait()


@contextmanager
def _until_signalled() -> Generator[asyncio.Event]:
    leaving, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in LEAVING:
        loop.add_signal_handler(number, leaving.set)
    try:
        yield leaving
    finally:
        for number in LEAVING:
            loop.remove_signal_handler(number)


async def _once(settings: Settings) -> None:
    async with opened(settings) as house:
        seen = await house.observatory().overview(samples=SAMPLES)
        if not seen.redis.up:
            raise CommandFailed(f"No Redis answers at {address(settings.redis.url)}.")
    console = _console()
    lines = picture(seen, View(address(settings.redis.url)), console.width, None)
    console.print(Text("\n").join(lines), soft_wrap=True)


async def _live(settings: Settings, interval: float) -> None:
    async with unasked(settings) as house:
        await Session(house, _console(), interval).run()


def _console() -> Console:
    """Colours on a terminal alone. Where nothing tells a width there is room for all columns."""
    cast("io.TextIOWrapper[Any]", sys.stdout).reconfigure(errors="replace")
    on_terminal = sys.stdout.isatty()
    width = None if on_terminal or "COLUMNS" in os.environ else _WIDTH
    return Console(force_terminal=on_terminal, width=width, highlight=False, markup=False)
