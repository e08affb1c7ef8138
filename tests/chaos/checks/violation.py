"""Violations that the checks report."""

from typing import NamedTuple

#: The kinds of violations, and what they mean.
KINDS = {
    "lost": "a word, an event, a terminal event, or a stop is missing",
    "doubled": "a word, an event, a terminal event, or a run exists twice",
    "wrong": "a client's answer, the stream, and the replays differ, or are not as expected",
    "hung": "an answer did not end, or a stop was not accepted, within 90 seconds",
    "failed": "an answer ended with an error, or a request was refused although it was repeated",
    "history": "the model did not receive the earlier messages of the chat, or a client's result",
    "tool": "a tool call took effect under two keys or when denied, or has a result but no effect",
    "redis": "a key has no TTL, or the lease or the job of an ended run remains",
    "zombie": "a process is up but does no work, or does not end within 30 seconds of SIGTERM",
    "memory": "idle processes have 32 MiB more than the largest one had after its first 10 seconds",
    "log": "a log contains text of a prompt or of an answer",
}


class Violation(NamedTuple):
    """Something that the deployment did wrong. `kind` is one of KINDS."""

    kind: str
    detail: str
