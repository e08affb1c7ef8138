"""The live screen: looks again and again, draws what is seen, and does what the keys say."""

import asyncio
import os
import signal
from collections.abc import Callable, Generator
from contextlib import contextmanager

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from mamba.operate.deployment import Deployment, address
from mamba.operate.run import end
from mamba.operate.top.charts import MINUTES
from mamba.operate.top.keyboard import listening
from mamba.operate.top.screen import View, picture
from shared.errors import Refusal
from shared.processes.metrics_history import SAMPLE_SECONDS
from shared.processes.snapshot import SystemOverview
from shared.redis.client import REDIS_AWAY, RedisError

#: As many samples as are drawn.
SAMPLES = int(MINUTES * 60 / SAMPLE_SECONDS)
#: What ends the screen in good order; the terminal is restored.
LEAVING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Session:
    def __init__(self, house: Deployment, console: Console, interval: float) -> None:
        self._house = house
        self._console = console
        self._interval = interval
        self._observatory = house.observatory()
        self._seen: SystemOverview | None = None
        self._view = View(address(house.settings.redis.url))
        #: The run that is to be stopped, once the question is answered.
        self._asked: str | None = None
        self._stopping: set[asyncio.Task[None]] = set()
        self._woken = asyncio.Event()
        self._leaving = False
        self._suspended = False

    async def run(self) -> None:
        looking = asyncio.create_task(self._keep_looking())
        looking.add_done_callback(lambda _: self._woken.set())
        try:
            while not self._leaving:
                with self._screen() as screen:
                    await self._draw(screen, looking)
                if self._suspended:
                    self._suspended = False
                    os.kill(os.getpid(), signal.SIGSTOP)
        finally:
            for task in (looking, *self._stopping):
                task.cancel()
            await asyncio.gather(looking, *self._stopping, return_exceptions=True)

    async def _keep_looking(self) -> None:
        while True:
            if not self._view.paused:
                self._seen = await self._observatory.overview(samples=SAMPLES)
                self._woken.set()
            await asyncio.sleep(self._interval)

    async def _draw(self, screen: Live, looking: asyncio.Task[None]) -> None:
        """Each time something is new, until this is left or suspended."""
        while not (self._leaving or self._suspended):
            screen.update(Group(*self._lines()), refresh=True)
            await self._woken.wait()
            self._woken.clear()
            if looking.done():
                looking.result()

    def _lines(self) -> list[Text]:
        width, height = self._console.size
        if self._seen is None:
            return [Text(f"Looking at {self._view.where} …"[:width])]
        return picture(self._seen, self._view, width, height)

    @contextmanager
    def _screen(self) -> Generator[Live]:
        """The terminal is ours; it is restored however this ends."""
        screen = Live(console=self._console, screen=True, auto_refresh=False)
        with self._signals(), screen, listening(self._press):
            yield screen

    @contextmanager
    def _signals(self) -> Generator[None]:
        loop = asyncio.get_running_loop()
        handlers: dict[int, Callable[[], None]] = dict.fromkeys(LEAVING, self._leave)
        handlers |= {signal.SIGWINCH: self._woken.set, signal.SIGTSTP: self._suspend}
        for number, handler in handlers.items():
            loop.add_signal_handler(number, handler)
        try:
            yield
        finally:
            for number in handlers:
                loop.remove_signal_handler(number)

    def _leave(self) -> None:
        self._leaving = True
        self._woken.set()

    def _suspend(self) -> None:
        self._suspended = True
        self._woken.set()

    def _press(self, key: str) -> None:
        if self._asked is not None:
            self._answer(key)
        elif key == "q":
            self._leave()
        elif key == "p":
            self._view.paused = not self._view.paused
        elif key in ("up", "down", "escape"):
            self._select(key)
        elif key == "x" and self._view.selected:
            self._asked = self._view.selected
            self._view.said = f"Stop the run {self._asked} for good? y/n"
        self._woken.set()

    def _select(self, key: str) -> None:
        """Another of the live runs; none beyond either end."""
        self._view.said = ""
        ids = [run.id for run in self._seen.live] if self._seen else []
        if key == "escape" or not ids:
            self._view.selected = None
            return
        last = len(ids) - 1
        if self._view.selected not in ids:
            self._view.selected = ids[0 if key == "down" else last]
            return
        place = ids.index(self._view.selected) + (1 if key == "down" else -1)
        self._view.selected = ids[min(max(place, 0), last)]

    def _answer(self, key: str) -> None:
        run_id, self._asked = self._asked, None
        self._view.said = ""
        if run_id is not None and key == "y":
            task = asyncio.create_task(self._stop(run_id))
            self._stopping.add(task)
            task.add_done_callback(self._stopping.discard)

    async def _stop(self, run_id: str) -> None:
        self._view.said = f"{run_id} is being stopped …"
        try:
            self._view.said = f"{run_id} is {await end(self._house, run_id)}."
        except Refusal as failure:
            self._view.said = str(failure)
        except (*REDIS_AWAY, RedisError) as error:
            self._view.said = f"{run_id} was not stopped: {error}"
        self._woken.set()
