"""The current settings of a process. Read live settings from here at each use."""

from collections.abc import Callable

import structlog

from shared.settings import Settings
from shared.telemetry.logs import raise_location

log = structlog.stdlib.get_logger()


class LiveSettings:
    """The current settings (`now`), and listeners that are called after a change."""

    def __init__(self, settings: Settings) -> None:
        self.now = settings
        self._listeners: list[Callable[[Settings], None]] = []

    def on_change(self, listener: Callable[[Settings], None]) -> None:
        """Call the listener with the new settings after each change."""
        self._listeners.append(listener)

    def replace(self, settings: Settings) -> None:
        """Make new settings current and call the listeners."""
        self.now = settings
        for listener in self._listeners:
            try:
                listener(settings)
            except Exception as error:  # noqa: BLE001  (the other listeners must still be called)
                log.error(  # noqa: TRY400  (error messages may contain keys)
                    "settings.not_applied",
                    message="A component failed to apply changed settings",
                    error=type(error).__name__,
                    where=raise_location(error),
                )
