"""The errors that Mamba raises.

MambaError
├── SettingsError               the settings are invalid; the process does not start
├── AgentNotOffered             an agent is unavailable in this deployment
├── BackgroundTaskFailed        a background task failed and cannot be restarted
├── Refusal                     the API rejects a request before a run exists
│   ├── MalformedRequest
│   ├── Unauthenticated
│   ├── Forbidden
│   ├── InvalidRequest
│   │   ├── TooLarge
│   │   ├── UnsupportedContent
│   │   ├── NotOpenAICompatible
│   │   └── IdempotencyMismatch
│   ├── NotAcceptable
│   ├── UnsupportedMediaType
│   ├── NotFound
│   ├── RunInProgress
│   ├── ToolCallNotPending
│   ├── ToolCallsExpired
│   ├── RunExpired
│   │   └── RepeatedRunExpired
│   ├── CursorLost
│   ├── MessageExpired
│   ├── RunEnded
│   ├── RunLeased
│   ├── RunDeferred
│   ├── JobMissing
│   ├── TooManyRequests
│   │   ├── RateLimited
│   │   ├── BudgetExceeded
│   │   ├── TooManyRuns
│   │   ├── TooManyStreams
│   │   ├── ChatQueueFull
│   │   ├── OwnerStorageFull
│   │   └── QueueFull
│   └── Unavailable
│       ├── StorageFull
│       ├── IntakePaused
│       └── WorkerNotResponding
├── StreamError                 the event stream rejects a write
│   ├── Fenced
│   ├── StreamClosed
│   ├── StreamGap
│   └── WriterStopped
├── BudgetUsedUp                the owner's budget is used up during an answer
├── AnswerTooLarge              an answer reaches its limit of bytes
├── FileTimeout                 fetching the files of a conversation takes too long
└── ModelTimeout                a model stops responding before or during its answer
    ├── FirstTokenTimeout
    └── SilenceTimeout

The docstring of a class is its default message. `worker/models/endpoint_errors.py` adds the errors
of model endpoints, `api/http/problems.py` maps errors to HTTP statuses, and
`worker/models/run_failures.py` maps them to the error texts of failed runs.
"""

import inspect
from collections.abc import Iterator
from math import ceil

from shared.rate_limit_status import RateLimitStatus

#: The only user-visible text of a defect. The log has its cause under the request id.
INTERNAL_ERROR_TEXT = "An internal error occurred."


def causes_of(error: BaseException | None, *, contexts: bool = False) -> Iterator[BaseException]:
    """Yield an error and what it was raised from; with `contexts`, also while handling what."""
    while error is not None:
        yield error
        error = error.__cause__ or (error.__context__ if contexts else None)


class MambaError(Exception):
    """An error occurred."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or inspect.getdoc(type(self)))


class SettingsError(MambaError):
    """The settings are invalid."""


class AgentNotOffered(MambaError):
    """The agent is unavailable in this deployment."""


class BackgroundTaskFailed(MambaError):
    """A background task failed, and the process cannot continue without it."""

    def __init__(self, task: str) -> None:
        super().__init__(f"The background task {task} failed. See background_task.died in the log.")


class Refusal(MambaError):
    """The request was rejected."""

    code = "refused"

    def __init__(self, message: str | None = None, *, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class MalformedRequest(Refusal):
    """The request is malformed."""

    code = "bad_request"


class Unauthenticated(Refusal):
    """Authentication is required. Send a valid key or token."""

    code = "unauthenticated"


class Forbidden(Refusal):
    """The key or token does not permit this request."""

    code = "forbidden"


class InvalidRequest(Refusal):
    """The request is invalid."""

    code = "invalid_request"


class TooLarge(InvalidRequest):
    """The request is too large."""

    code = "too_large"


class UnsupportedContent(InvalidRequest):
    """The file type is not supported."""

    code = "unsupported_content"


class IdempotencyMismatch(InvalidRequest):
    """Idempotency-Key: The key was used for a different request. Send a new key."""

    code = "idempotency_mismatch"

    def __init__(self) -> None:
        super().__init__(field="Idempotency-Key")


class NotOpenAICompatible(InvalidRequest):
    """The request comes from a client of OpenAI's API, which cannot read the response."""

    code = "not_openai_compatible"

    def __init__(self) -> None:
        super().__init__(
            "This endpoint does not implement OpenAI's API: it streams the events of the AI SDK. "
            "Use a client of the AI SDK, such as `useChat`, or send a plain HTTP request and read "
            "the server-sent events. To use the OpenAI SDK, set its base URL to the server of the "
            "model."
        )


class NotAcceptable(Refusal):
    """No stream format matches the Accept header."""

    code = "not_acceptable"


class UnsupportedMediaType(Refusal):
    """The body must be JSON. Send it with `content-type: application/json`."""

    code = "unsupported_media_type"


class NotFound(Refusal):
    """The chat does not exist."""

    code = "not_found"


class RunInProgress(Refusal):
    """The chat has a live run. Stop it, or send `"whenBusy": "queue"` or `"supersede"`."""

    code = "run_in_progress"


class ToolCallNotPending(Refusal):
    """The tool call is not waiting for a response. It was answered already, or does not exist."""

    code = "not_pending"


class ToolCallsExpired(Refusal):
    """The tool calls are no longer stored. Send a new user message."""

    code = "pending_expired"


class RunExpired(Refusal):
    """The run of this cursor is no longer stored."""

    code = "cursor_expired"


class RepeatedRunExpired(RunExpired):
    """Idempotency-Key: The run of the first request is no longer stored. Send a new key."""

    def __init__(self) -> None:
        super().__init__(field="Idempotency-Key")


class CursorLost(Refusal):
    """The stream has no event with this cursor. Load the stream without Last-Event-ID."""

    code = "cursor_lost"


class MessageExpired(Refusal):
    """A part of the message is no longer stored."""

    code = "message_expired"


class RunEnded(Refusal):
    """The run has ended."""

    code = "run_ended"


class RunLeased(Refusal):
    """A worker is executing the run."""

    code = "run_leased"


class RunDeferred(Refusal):
    """The run is not due yet, for example because it waits for an earlier run of its chat."""

    code = "run_deferred"


class JobMissing(Refusal):
    """The job of the run no longer exists."""

    code = "job_missing"


class TooManyRequests(Refusal):
    """Too many requests."""

    code = "too_many_requests"

    def __init__(
        self,
        message: str | None = None,
        *,
        retry_after: float,
        rate_limit: RateLimitStatus | None = None,
    ) -> None:
        self.retry_after = max(1, ceil(retry_after))
        self.rate_limit = rate_limit
        unit = "second" if self.retry_after == 1 else "seconds"
        text = message or inspect.getdoc(type(self))
        super().__init__(f"{text} Try again in {self.retry_after} {unit}.")


class RateLimited(TooManyRequests):
    """You started too many runs within a minute."""

    code = "rate_limited"


class BudgetExceeded(TooManyRequests):
    """Your budget is used up."""

    code = "budget_exceeded"


class TooManyRuns(TooManyRequests):
    """You have too many live runs."""

    code = "too_many_runs"


class TooManyStreams(TooManyRequests):
    """You have too many open streams."""

    code = "too_many_streams"


class ChatQueueFull(TooManyRequests):
    """Too many messages of this chat wait for its live run. Wait for an answer, or stop one."""

    code = "chat_queue_full"


class OwnerStorageFull(TooManyRequests):
    """Your chats occupy too much storage."""

    code = "owner_storage_full"


class QueueFull(TooManyRequests):
    """The queue is full."""

    code = "queue_full"


class Unavailable(Refusal):
    """The service is temporarily unavailable. Try again in a moment."""

    code = "unavailable"
    #: In seconds.
    retry_after = 1


class StorageFull(Unavailable):
    """Redis has too little memory left for another run. Try again later."""

    code = "storage_full"


class IntakePaused(Unavailable):
    """New messages are not accepted at the moment. Try again later."""

    code = "intake_paused"
    retry_after = 30


class WorkerNotResponding(Unavailable):
    """The worker did not respond. Send SIGTERM to its process."""

    code = "worker_not_responding"


class StreamError(MambaError):
    """The event stream rejected the write."""


class Fenced(StreamError):
    """Another attempt has taken over this run."""


class StreamClosed(StreamError):
    """The stream is closed."""


class StreamGap(StreamError):
    """Earlier entries are missing from the stream."""


class WriterStopped(StreamError):
    """The process no longer writes to streams."""


class BudgetUsedUp(MambaError):
    """Your budget is used up."""


class AnswerTooLarge(MambaError):
    """The answer is larger than run.answer_bytes."""


class FileTimeout(MambaError):
    """A file of this conversation did not arrive in time."""


class ModelTimeout(MambaError):
    """The model did not respond in time."""


class FirstTokenTimeout(ModelTimeout):
    """The model did not send its first token in time."""


class SilenceTimeout(ModelTimeout):
    """The model stopped sending tokens during its answer."""
