"""Settings that change while the process runs: on a change of their files, or at SIGHUP."""

import asyncio
import signal
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path

import structlog

from shared.background_task import BackgroundTask
from shared.errors import SettingsError
from shared.settings import Settings, load_settings, settings_files
from shared.settings.change import apply_live_changes, changed_keys
from shared.settings.live_settings import LiveSettings
from shared.settings.names import Key, dotted
from shared.telemetry.logs import where
from shared.telemetry.metrics import SETTINGS_LOADED

log = structlog.stdlib.get_logger()

POLL_SECONDS = 0.5

_Stamp = tuple[int, int, int, int] | None


class Reload(BackgroundTask):
    """Puts new settings in force; wrong ones are refused as a whole, and the old ones stay.

    A file is read once it has been left alone for one poll: an editor may empty it before it
    writes. Symbolic links are followed, so the swap that updates a ConfigMap is a change too.
    """

    def __init__(self, live: LiveSettings, *, load: Callable[[], Settings] = load_settings) -> None:
        self._live = live
        self._load = load
        self._hangup = asyncio.Event()
        self._waiting: frozenset[Key] = frozenset()

    async def _run(self) -> None:
        with _on_hangup(self._hangup.set):
            seen = _stamps()
            self._reload()  # what has changed since the process began to start
            while True:
                told = await self._pause()
                if told or seen != _stamps():
                    seen = _stamps() if told else await self._settled()
                    self._reload(told=told)

    async def _pause(self) -> bool:
        """Whether a signal cut it short."""
        with suppress(TimeoutError):
            async with asyncio.timeout(POLL_SECONDS):
                await self._hangup.wait()
        told = self._hangup.is_set()
        self._hangup.clear()
        return told

    async def _settled(self) -> list[_Stamp]:
        """The files' stamps, once they stay the same for a poll."""
        before, now = None, _stamps()
        while before != now:
            await asyncio.sleep(POLL_SECONDS)
            before, now = now, _stamps()
        return now

    def _reload(self, *, told: bool = False) -> None:
        try:
            new = self._load()
        except SettingsError as error:
            SETTINGS_LOADED.set(0)
            log.error("settings.refused", problem=str(error))  # noqa: TRY400  (its message says it all)
        except Exception as error:  # noqa: BLE001  (the old settings are in force, and serve)
            SETTINGS_LOADED.set(0)
            log.error("settings.refused", error=type(error).__name__, where=where(error))  # noqa: TRY400  (messages may hold keys)
        else:
            SETTINGS_LOADED.set(1)
            self._apply(new, told=told)

    def _apply(self, new: Settings, *, told: bool) -> None:
        old = self._live.now
        keys = sorted(map(dotted, changed_keys(old, new, live=True)))
        if keys:
            self._live.replace(apply_live_changes(old, new))
        if keys or told:
            log.warning("settings.reloaded", changed=keys)
        waiting = frozenset(changed_keys(old, new, live=False))
        if waiting and waiting != self._waiting:
            log.warning("settings.restart_needed", changed=sorted(map(dotted, waiting)))
        self._waiting = waiting


def _stamps() -> list[_Stamp]:
    return [_stamp(path) for path in settings_files()]


def _stamp(path: Path) -> _Stamp:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size


@contextmanager
def _on_hangup(call: Callable[[], None]) -> Generator[None]:
    """Call it at each SIGHUP. Outside the main thread signals are somebody else's."""
    loop, previous = asyncio.get_running_loop(), signal.getsignal(signal.SIGHUP)
    try:
        loop.add_signal_handler(signal.SIGHUP, call)
    except (RuntimeError, ValueError):
        yield
        return
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGHUP)
        signal.signal(signal.SIGHUP, previous)
