"""The live screen: polls the deployment, draws it, and handles keys and signals."""

import asyncio
import os
import signal
from collections.abc import Callable, Generator
from contextlib import contextmanager

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from mamba.operate.deployment import Deployment, address
from mamba.operate.top.charts import MINUTES
from mamba.operate.top.keyboard import read_keys
from mamba.operate.top.screen import View, render_screen
from shared.errors import Refusal
from shared.monitoring.metrics_history import SAMPLE_SECONDS
from shared.monitoring.snapshot import SystemOverview
from shared.redis.client import REDIS_UNAVAILABLE, RedisError

#: As many samples as the charts show.
SAMPLES = int(MINUTES * 60 / SAMPLE_SECONDS)
QUIT_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Session:
    def __init__(self, deployment: Deployment, console: Console, interval: float) -> None:
        self._deployment = deployment
        self._console = console
        self._interval = interval
        self._monitor = deployment.system_monitor()
        self._overview: SystemOverview | None = None
        self._view = View(address(deployment.settings.redis.url))
        #: The run to stop if the user confirms.
        self._confirming: str | None = None
        self._stop_tasks: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self._quitting = False
        self._suspended = False

    async def run(self) -> None:
        polling = asyncio.create_task(self._poll())
        polling.add_done_callback(lambda _: self._changed.set())
        try:
            while not self._quitting:
                with self._screen() as screen:
                    await self._draw(screen, polling)
                if self._suspended:
                    self._suspended = False
                    os.kill(os.getpid(), signal.SIGSTOP)
        finally:
            for task in (polling, *self._stop_tasks):
                task.cancel()
            await asyncio.gather(polling, *self._stop_tasks, return_exceptions=True)

    async def _poll(self) -> None:
        while True:
            if not self._view.paused:
                self._overview = await self._monitor.overview(samples=SAMPLES)
                self._changed.set()
            await asyncio.sleep(self._interval)

    async def _draw(self, screen: Live, polling: asyncio.Task[None]) -> None:
        """Redraw after each change until the user quits or suspends."""
        while not (self._quitting or self._suspended):
            screen.update(Group(*self._lines()), refresh=True)
            await self._changed.wait()
            self._changed.clear()
            if polling.done():
                polling.result()

    def _lines(self) -> list[Text]:
        width, height = self._console.size
        if self._overview is None:
            return [Text(f"Connecting to {self._view.address} …"[:width])]
        return render_screen(self._overview, self._view, width, height)

    @contextmanager
    def _screen(self) -> Generator[Live]:
        """Take over the terminal, and restore it at the end."""
        screen = Live(console=self._console, screen=True, auto_refresh=False)
        with self._signals(), screen, read_keys(self._press):
            yield screen

    @contextmanager
    def _signals(self) -> Generator[None]:
        loop = asyncio.get_running_loop()
        handlers: dict[int, Callable[[], None]] = dict.fromkeys(QUIT_SIGNALS, self._quit)
        handlers |= {signal.SIGWINCH: self._changed.set, signal.SIGTSTP: self._suspend}
        for number, handler in handlers.items():
            loop.add_signal_handler(number, handler)
        try:
            yield
        finally:
            for number in handlers:
                loop.remove_signal_handler(number)

    def _quit(self) -> None:
        self._quitting = True
        self._changed.set()

    def _suspend(self) -> None:
        self._suspended = True
        self._changed.set()

    def _press(self, key: str) -> None:
        if self._confirming is not None:
            self._confirm(key)
        elif key == "q":
            self._quit()
        elif key == "p":
            self._view.paused = not self._view.paused
        elif key in ("up", "down", "escape"):
            self._select(key)
        elif key == "x" and self._view.selected:
            self._confirming = self._view.selected
            self._view.message = f"Stop run {self._confirming} permanently? y/n"
        self._changed.set()

    def _select(self, key: str) -> None:
        """Move the selection among the live runs. It does not wrap around."""
        self._view.message = ""
        ids = [run.id for run in self._overview.live] if self._overview else []
        if key == "escape" or not ids:
            self._view.selected = None
            return
        last = len(ids) - 1
        if self._view.selected not in ids:
            self._view.selected = ids[0 if key == "down" else last]
            return
        index = ids.index(self._view.selected) + (1 if key == "down" else -1)
        self._view.selected = ids[min(max(index, 0), last)]

    def _confirm(self, key: str) -> None:
        run_id, self._confirming = self._confirming, None
        self._view.message = ""
        if run_id is not None and key == "y":
            task = asyncio.create_task(self._stop(run_id))
            self._stop_tasks.add(task)
            task.add_done_callback(self._stop_tasks.discard)

    async def _stop(self, run_id: str) -> None:
        self._view.message = f"Stopping {run_id} …"
        try:
            async with self._deployment.run_control() as control:
                run = await control.stop_live(run_id)
            await self._deployment.record("ops.run_stopped", run_id=run_id)
            self._view.message = f"{run_id} is {run.state}."
        except Refusal as refusal:
            self._view.message = str(refusal)
        except (*REDIS_UNAVAILABLE, RedisError) as error:
            self._view.message = f"{run_id} was not stopped: {error}"
        self._changed.set()
