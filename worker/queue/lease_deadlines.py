"""Tracks when the leases of this worker's jobs expire, on the process's monotonic clock."""

import time
from collections.abc import Iterable


class LeaseDeadlines:
    """A deadline for each job.

    It counts from the earliest moment at which the lease may have begun, so it is not later than
    the expiry in Redis, unless the clock of Redis is set forward during the wait of a claim.
    """

    def __init__(self, lease_seconds: float) -> None:
        self._lease_seconds = lease_seconds
        self._deadlines: dict[str, float] = {}

    def start(self, job_ids: Iterable[str], began: float) -> None:
        """Add jobs that were claimed."""
        for job_id in job_ids:
            self._deadlines[job_id] = began + self._lease_seconds

    def extend(self, job_ids: Iterable[str], began: float) -> None:
        """Set the deadlines of jobs whose leases were renewed. Ignores jobs without a deadline."""
        self.start((job_id for job_id in job_ids if job_id in self._deadlines), began)

    def is_over(self, job_id: str) -> bool:
        """Return whether the lease of a job may have expired. True if it has no deadline."""
        return time.monotonic() >= self._deadlines.get(job_id, 0.0)

    def forget(self, job_id: str) -> None:
        self._deadlines.pop(job_id, None)

    def take_expired(self) -> list[str]:
        """Return the jobs whose deadline has passed, and forget their deadlines."""
        now = time.monotonic()
        expired = [job_id for job_id, at in self._deadlines.items() if at <= now]
        for job_id in expired:
            del self._deadlines[job_id]
        return expired
