"""The order in which the jobs of both classes are claimed, for positions and expected waits.

`next_due` in `shared/queue/fair_queue.py` makes the real decisions.
"""

from math import ceil, floor
from typing import NamedTuple

#: The part of the claims that background jobs are expected to get in a queue where none has been
#: measured.
DEFAULT_BACKGROUND_PART = 0.3
#: The least part of the claims that a forecast expects for background jobs.
_MIN_PART = 0.02


class ClaimOrder(NamedTuple):
    """The jobs that wait in a queue, by class, and the state that decides between the classes.

    Durations are means in seconds: of the jobs of each class, and of all. `background_part` is the
    recent part of the claims that background jobs got while some waited.
    """

    interactive: int
    background: int
    interactive_seconds: float = 1.0
    background_seconds: float = 1.0
    mean_seconds: float = 1.0
    background_share: float = 0.0
    owed: float = 0.0
    background_part: float = 1.0
    #: Whether the processing of the queue is paused.
    paused: bool = False
    #: The seconds by which a claim of the class moves its virtual time, recently on average.
    advance: float = 0.0
    background_advance: float = 0.0

    def ahead_of(self, rank: int, *, background: bool) -> tuple[int, int]:
        """Return how many jobs of both classes will be claimed before a waiting job.

        Its rank in its class counts from 1. Jobs that are added later do not count.
        """
        before = rank - 1
        if self.background_share == 0:
            return (self.interactive, before) if background else (before, 0)
        per_interactive = self.background_share * self.interactive_seconds
        price = (1 - self.background_share) * self.background_seconds / per_interactive
        paid = self.owed / per_interactive
        if background:
            return min(self.interactive, max(0, ceil(rank * price - paid))), before
        return before, min(self.background, max(0, floor((before + paid) / price)))

    def position_of(self, rank: int, *, background: bool) -> int:
        """Return the position of a job among all that wait, counted from 1."""
        return 1 + sum(self.ahead_of(rank, background=background))

    def likely_positions(
        self, rank: int, virtual_seconds: float = 0.0, *, background: bool
    ) -> tuple[float, float]:
        """Return the first and last likely position of a job, in jobs of mean duration.

        The last one counts jobs that are added later and start before it: those of other owners,
        until the virtual time has moved by `virtual_seconds` to the start of the job, and
        interactive ones if it is a background job.
        """
        interactive, others = self.ahead_of(rank, background=background)
        first = self._in_mean_jobs(interactive, others)
        last = self._last_rank(rank, virtual_seconds, background=background)
        if not background:
            return first, self._in_mean_jobs(interactive + last - rank, others)
        part = max(self.background_part, self.background_share, _MIN_PART)
        return first, self._in_mean_jobs(max(interactive, last / part - last), last - 1)

    def _last_rank(self, rank: int, virtual_seconds: float, *, background: bool) -> float:
        advance = self.background_advance if background else self.advance
        if virtual_seconds <= 0 or advance <= 0:
            return rank
        most = 3 * rank + self.interactive + self.background
        return min(max(rank, virtual_seconds / advance), most)

    def _in_mean_jobs(self, interactive: float, background: float) -> float:
        seconds = interactive * self.interactive_seconds + background * self.background_seconds
        return 1 + seconds / self.mean_seconds
