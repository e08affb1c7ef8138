"""The settings in force: what may change without a restart is read from here each time."""

from collections.abc import Callable

from shared.settings import Settings


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
            listener(settings)
