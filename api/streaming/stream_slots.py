"""The limit of streams that one owner may have open in this process."""

from collections import Counter

from shared.errors import TooManyStreams
from shared.settings.live_settings import LiveSettings

#: Seconds. Streams can end at any time, so this is only a moderate interval between attempts.
RETRY_AFTER = 5


class StreamSlots:
    """Counts the open streams of each owner in this process."""

    def __init__(self, live: LiveSettings) -> None:
        self._live = live
        self._open: Counter[str] = Counter()

    def acquire(self, owner: str) -> None:
        """Count a stream of the owner until `release`.

        Raises:
            TooManyStreams: if the owner has too many.
        """
        most = self._live.now.limits.streams
        if most and self._open[owner] >= most:
            raise TooManyStreams(
                f"You can have at most {most:,} open streams. Close one.", retry_after=RETRY_AFTER
            )
        self._open[owner] += 1

    def release(self, owner: str) -> None:
        """Stop counting a stream of the owner."""
        self._open[owner] -= 1
        if not self._open[owner]:
            del self._open[owner]
