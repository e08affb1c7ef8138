"""The settings in force: what may change without a restart is read from here each time."""

from collections.abc import Callable

import structlog

from shared.settings import Settings
from shared.telemetry.logs import where

log = structlog.stdlib.get_logger()


class LiveSettings:
    def __init__(self, settings: Settings) -> None:
        self.now = settings
        self._listeners: list[Callable[[Settings], None]] = []

    def on_change(self, listener: Callable[[Settings], None]) -> None:
        """Call the listener with each later settings."""
        self._listeners.append(listener)

    def replace(self, settings: Settings) -> None:
        """Put new settings in force, for all who read them from here."""
        self.now = settings
        for listener in self._listeners:
            try:
                listener(settings)
            except Exception as error:  # noqa: BLE001  (the others have to hear of them too)
                log.error("settings.unheard", error=type(error).__name__, where=where(error))  # noqa: TRY400  (messages may hold keys)
