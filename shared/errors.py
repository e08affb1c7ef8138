"""Every error of our own, in one tree.

MambaError
├── SettingsError               the settings are wrong: the process does not start
├── AgentNotOffered             an agent says that it cannot work here
├── Refusal                     a request that is turned down before a run exists
│   ├── Unauthenticated
│   ├── Forbidden
│   ├── InvalidRequest
│   │   ├── TooLarge
│   │   ├── UnsupportedContent
│   │   └── IdempotencyMismatch
│   ├── NotAcceptable
│   ├── UnsupportedMediaType
│   ├── NotFound
│   ├── RunInProgress
│   ├── ToolCallNotPending
│   ├── ToolCallsExpired
│   ├── CursorExpired
│   ├── RunEnded
│   ├── RunLeased
│   ├── JobMissing
│   ├── TooManyRequests
│   │   ├── RateLimited
│   │   ├── TooManyRuns
│   │   └── QueueFull
│   └── Unavailable
│       └── WorkerUnheard
├── StreamError                 the event stream said no to a writer
│   ├── Fenced
│   ├── StreamClosed
│   └── StreamGap
├── FileTimeout                 a file's server, or several, took too long
└── ModelSilent                 a model is given up on, in the middle of its answer or before it
    ├── FirstTokenTimeout
    └── SilenceTimeout

`worker/models/errors.py` adds those of the model endpoints. A class's docstring is its default
message. HTTP statuses are chosen at the API's edge alone
(`api/http/problems.py`); what a failed run tells its reader is `worker/jobs/failures.py`.
"""

import inspect
from math import ceil

from shared.limits.rate_limit_status import RateLimitStatus


class MambaError(Exception):
    """Something went wrong."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or inspect.getdoc(type(self)))


class SettingsError(MambaError):
    """The settings are wrong."""


class AgentNotOffered(MambaError):
    """The agent cannot work here."""


class Refusal(MambaError):
    """The request was refused."""

    code = "refused"

    def __init__(self, message: str | None = None, *, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class Unauthenticated(Refusal):
    """Send a valid key or token."""

    code = "unauthenticated"


class Forbidden(Refusal):
    """The key or token does not allow that."""

    code = "forbidden"


class InvalidRequest(Refusal):
    """The request is not valid."""

    code = "invalid_request"


class TooLarge(InvalidRequest):
    """The request is too large."""

    code = "too_large"


class UnsupportedContent(InvalidRequest):
    """A file is of a kind that is not taken."""

    code = "unsupported_content"


class IdempotencyMismatch(InvalidRequest):
    """Idempotency-Key: It was used for another request. Send a new key with a new request."""

    code = "idempotency_mismatch"

    def __init__(self) -> None:
        super().__init__(field="Idempotency-Key")


class NotAcceptable(Refusal):
    """There is no answer of a kind that the request accepts."""

    code = "not_acceptable"


class UnsupportedMediaType(Refusal):
    """The body must be JSON, and say so: send it with `content-type: application/json`."""

    code = "unsupported_media_type"


class NotFound(Refusal):
    """There is no such chat."""

    code = "not_found"


class RunInProgress(Refusal):
    """The chat's answer is still being made. Follow it, stop it, or send `"supersede": true`."""

    code = "run_in_progress"


class ToolCallNotPending(Refusal):
    """The call does not wait for an answer: it has one, or was never made."""

    code = "not_pending"


class ToolCallsExpired(Refusal):
    """The calls that this answers are no longer kept. Ask again, in a message of the user's."""

    code = "pending_expired"


class CursorExpired(Refusal):
    """The answer this cursor belongs to is no longer kept. Nothing was generated anew."""

    code = "cursor_expired"


class RunEnded(Refusal):
    """The run has ended."""

    code = "run_ended"


class RunLeased(Refusal):
    """A worker works on the run."""

    code = "run_held"


class JobMissing(Refusal):
    """The run's job is gone."""

    code = "job_gone"


class TooManyRequests(Refusal):
    """There are too many requests."""

    code = "too_many_requests"

    def __init__(
        self,
        message: str | None = None,
        *,
        retry_after: float,
        rate_limit: RateLimitStatus | None = None,
    ) -> None:
        self.retry_after = max(1, ceil(retry_after))
        self.allowance = rate_limit
        unit = "second" if self.retry_after == 1 else "seconds"
        said = message or inspect.getdoc(type(self))
        super().__init__(f"{said} Try again in {self.retry_after} {unit}.")


class RateLimited(TooManyRequests):
    """The rate of new answers is too high."""

    code = "rate_limited"


class TooManyRuns(TooManyRequests):
    """Too many of your answers are being made at once."""

    code = "too_many_runs"


class QueueFull(TooManyRequests):
    """The server has too much to do right now."""

    code = "queue_full"


class Unavailable(Refusal):
    """The service cannot take requests right now. Try again in a moment."""

    code = "unavailable"


class WorkerNotResponding(Unavailable):
    """The worker did not listen. Send its process SIGTERM."""

    code = "worker_unheard"


class StreamError(MambaError):
    """The event stream refused the write."""


class Fenced(StreamError):
    """Another attempt has taken over this run."""


class StreamClosed(StreamError):
    """The stream has ended."""


class StreamGap(StreamError):
    """Entries before this one are missing from the log."""


class FileTimeout(MambaError):
    """A file of this conversation did not arrive in time."""


class ModelTimeout(MambaError):
    """The model says nothing."""


class FirstTokenTimeout(ModelTimeout):
    """The model did not begin its answer in time."""


class SilenceTimeout(ModelTimeout):
    """The model fell silent in the middle of its answer."""
