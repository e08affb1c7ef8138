"""The limit of streams that one owner may have open in this process."""

from collections import Counter

from shared.errors import TooManyStreams
from shared.settings.live_settings import LiveSettings

#: Streams end at any time; this is a moderate interval for a client that tries again.
RETRY_AFTER = 5


class StreamSlots:
    """Counts the open streams of each owner in this process."""

    def __init__(self, live: LiveSettings) -> None:
        self._live = live
        self._open: Counter[str] = Counter()

    def take(self, owner: str) -> None:
        """Count one stream of the owner, until `give_back`.

        Raises:
            TooManyStreams: if the owner has too many.
        """
        most = self._live.now.limits.streams
        if most and self._open[owner] >= most:
            raise TooManyStreams(
                f"You can have at most {most:,} open streams. Close one.", retry_after=RETRY_AFTER
            )
        self._open[owner] += 1

    def give_back(self, owner: str) -> None:
        """Count one stream of the owner less."""
        self._open[owner] -= 1
        if not self._open[owner]:
            del self._open[owner]
