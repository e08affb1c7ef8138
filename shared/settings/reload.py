"""Reloads the settings when their files change, and on SIGHUP."""

import asyncio
import signal
from collections.abc import Callable, Generator
from contextlib import contextmanager

import structlog

from shared.background_task import BackgroundTask
from shared.errors import SettingsError
from shared.file_stamp import FileStamp, file_stamp
from shared.settings import Settings, load_settings, settings_files
from shared.settings.change import apply_live_changes, changed_keys
from shared.settings.live_settings import LiveSettings
from shared.settings.names import Key, dotted
from shared.telemetry.logs import raise_location
from shared.telemetry.metrics import SETTINGS_LOADED
from shared.waiting import wait_briefly

log = structlog.stdlib.get_logger()

POLL_SECONDS = 0.5


class Reload(BackgroundTask):
    """Makes changed settings current; invalid settings are rejected as a whole.

    Waits until a file stays unchanged for one poll before reading it, because an editor may
    truncate it first. Follows symbolic links, which Kubernetes swaps to update a ConfigMap.
    """

    def __init__(self, live: LiveSettings, *, load: Callable[[], Settings] = load_settings) -> None:
        self._live = live
        self._load = load
        self._hangup = asyncio.Event()
        self._pending_restart: frozenset[Key] = frozenset()

    async def _run(self) -> None:
        with _on_hangup(self._hangup.set):
            stamps = _stamps()
            self._reload()  # the files may have changed since the process loaded them
            while True:
                signaled = await self._pause()
                if signaled or stamps != _stamps():
                    stamps = _stamps() if signaled else await self._stable_stamps()
                    self._reload(signaled=signaled)

    async def _pause(self) -> bool:
        """Wait until the next poll; return whether SIGHUP ended the wait."""
        signaled = await wait_briefly(self._hangup, POLL_SECONDS)
        self._hangup.clear()
        return signaled

    async def _stable_stamps(self) -> list[FileStamp | None]:
        """Return the stamps of the files once they stay the same for one poll."""
        before, now = None, _stamps()
        while before != now:
            await asyncio.sleep(POLL_SECONDS)
            before, now = now, _stamps()
        return now

    def _reload(self, *, signaled: bool = False) -> None:
        try:
            new = self._load()
        except SettingsError as error:
            SETTINGS_LOADED.set(0)
            log.error(  # noqa: TRY400  (the message is complete)
                "settings.refused",
                message="Changed settings rejected; the old settings stay in effect",
                problem=str(error),
            )
        except Exception as error:  # noqa: BLE001  (the process continues with the old settings)
            SETTINGS_LOADED.set(0)
            log.error(  # noqa: TRY400  (error messages may contain keys)
                "settings.refused",
                message="Changed settings rejected; the old settings stay in effect",
                error=type(error).__name__,
                where=raise_location(error),
            )
        else:
            SETTINGS_LOADED.set(1)
            self._apply(new, signaled=signaled)

    def _apply(self, new: Settings, *, signaled: bool) -> None:
        old = self._live.now
        keys = sorted(map(dotted, changed_keys(old, new, live=True)))
        if keys:
            self._live.replace(apply_live_changes(old, new))
        if keys or signaled:
            log.warning("settings.reloaded", message="Settings reloaded", changed=keys)
        pending = frozenset(changed_keys(old, new, live=False))
        if pending and pending != self._pending_restart:
            log.warning(
                "settings.restart_needed",
                message="Changed settings take effect after a restart",
                changed=sorted(map(dotted, pending)),
            )
        self._pending_restart = pending


def _stamps() -> list[FileStamp | None]:
    return [file_stamp(path) for path in settings_files()]


@contextmanager
def _on_hangup(call: Callable[[], None]) -> Generator[None]:
    """Call a function on each SIGHUP. Does nothing outside the main thread."""
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
