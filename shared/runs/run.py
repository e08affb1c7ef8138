"""The run: one answer of the assistant, from the accepted request to its terminal event.

    queued ──▶ running ──▶ succeeded
      │           ├──────▶ failed
      │           └──────▶ cancelled
      └──────▶ failed | cancelled

Admission creates a run's hash. After that, only the scripts in `shared/streams/scripts.py` change
its state, in the same step as they append to its stream.
"""

import secrets
import time
from string import ascii_letters, digits

from pydantic import BaseModel, ConfigDict, Field

from shared.redis.keys import MAIN_QUEUE
from shared.settings import Priority
from shared.streams.run_state import RunState

_ALPHABET = ascii_letters + digits


def new_run_id() -> str:
    """Return 20 random letters and digits (119 bits).

    Without a hyphen, so that command lines do not parse an id as an option.
    """
    return "".join(secrets.choice(_ALPHABET) for _ in range(20))


class Run(BaseModel):
    """A run as its Redis hash stores it. Times are Unix milliseconds."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    chat_id: str
    owner: str
    #: The id of the assistant's message, the same in every replay and connection.
    message_id: str
    agent: str
    model: str
    request_id: str
    #: The client's id of the user message that it answers.
    answers: str | None = None
    #: The runs that produced the earlier parts of this message, oldest first.
    continues: tuple[str, ...] = ()
    #: The name (not the key) of the queue that holds its job.
    queue: str = MAIN_QUEUE
    #: The class of its job in the fair order.
    priority: Priority = "interactive"
    state: RunState = RunState.QUEUED
    #: How often a worker took the run over. It is also the fence of the stream.
    attempts: int = 0
    #: Attempts that ended in a retryable failure.
    failures: int = 0
    #: Attempts that ended because their worker shut down. They do not count against the run.
    handovers: int = 0
    #: How often a stop was requested. It is stored before any worker is notified.
    stop_requests: int = 0
    #: The failure code of a failed run (`worker/models/run_failures.py`).
    error: str | None = None
    #: The last error of the model's server: status, code, type, parameter and the like.
    upstream: str | None = None
    #: The W3C `traceparent` of its trace, if it has one.
    traceparent: str | None = None
    #: The time of the admission by the clock of Redis, which stores it.
    admitted_at: int = Field(default_factory=lambda: time.time_ns() // 1_000_000)
    started_at: int | None = None
    ended_at: int | None = None
