"""Every error of our own, in one tree.

MambaError
├── SettingsError               the settings are wrong: the process does not start
├── Refusal                     a request that is turned down before a run exists
│   ├── Unauthenticated
│   ├── Forbidden
│   ├── InvalidRequest
│   │   └── TooLarge
│   ├── NotFound
│   ├── RunInProgress
│   ├── CursorExpired
│   ├── RateLimited
│   └── Unavailable
├── StreamError                 the event stream said no to a writer
│   ├── Fenced
│   ├── StreamClosed
│   └── StreamGap
└── IllegalTransition

A class's docstring is its default message. HTTP statuses are chosen at the API's edge alone
(`api/problems.py`); what a failed run tells its reader is `worker/failures.py`.
"""

import inspect


class MambaError(Exception):
    """Something went wrong."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or inspect.getdoc(type(self)))


class SettingsError(MambaError):
    """The settings are wrong."""


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


class NotFound(Refusal):
    """There is no such chat."""

    code = "not_found"


class RunInProgress(Refusal):
    """The chat's answer is still being made. Follow it, stop it, or send `"supersede": true`."""

    code = "run_in_progress"


class CursorExpired(Refusal):
    """The answer this cursor belongs to is no longer kept. Nothing was generated anew."""

    code = "cursor_expired"


class RateLimited(Refusal):
    """Too many requests. Try again later."""

    code = "rate_limited"


class Unavailable(Refusal):
    """The service cannot take requests right now. Try again in a moment."""

    code = "unavailable"


class StreamError(MambaError):
    """The event stream refused the write."""


class Fenced(StreamError):
    """Another attempt has taken over this run."""


class StreamClosed(StreamError):
    """The stream has ended."""


class StreamGap(StreamError):
    """Entries before this one are missing from the log."""


class IllegalTransition(MambaError):
    """A run cannot go from this state to that one."""
