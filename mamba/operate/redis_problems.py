"""What the errors of a Redis server mean for an operator, and how to fix them."""

from typing import NamedTuple

from mamba.cli_errors import CommandFailed
from shared.errors import causes_of
from shared.redis.client import (
    REDIS_UNAVAILABLE,
    AuthenticationError,
    BusyLoadingError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
)
from shared.redis.confirmation import Unconfirmed
from shared.redis.sentinel import NoPrimary

#: How long a command waits for a reply.
RESPONSE_SECONDS = 5.0
#: The errors of a Redis that `problem_of` explains.
REDIS_ERRORS = (*REDIS_UNAVAILABLE, RedisError, TimeoutError)

MEMORY_FIX = "raise maxmemory, or shorten run.retention_seconds"
MISSING_NODE_FIX = "see CLUSTER NODES, and bring the missing node back"

#: The kinds of errors, the message, and the fix.
_PROBLEMS = (
    (
        AuthenticationError,
        "rejected the credentials: {error}",
        "correct the user and password in {setting}",
    ),
    (
        NoPermissionError,
        "does not permit a command: {error}",
        "give the user of {setting} the rights that docs/operate/redis.md lists",
    ),
    (BusyLoadingError, "is loading its data", "try again when it has finished"),
    (
        OutOfMemoryError,
        "has no memory left",
        MEMORY_FIX,
    ),
    (
        Unconfirmed,
        "has too few replicas: {error}",
        "restore the replicas, or lower redis.confirm_replicas",
    ),
    (
        NoPrimary,
        "has no primary: {error}",
        "see SENTINEL MASTERS, and check the name of the service in {setting}",
    ),
)


class RedisProblem(NamedTuple):
    """`message` continues a sentence that begins with the name of a server."""

    message: str
    fix: str


class RedisFailed(CommandFailed):
    """A Redis server cannot serve the command."""

    def __init__(self, server: str, problem: RedisProblem) -> None:
        self.message = f"Redis at {server} {problem.message}"
        self.fix = problem.fix
        fix = f"{problem.fix[0].upper()}{problem.fix[1:]}"
        super().__init__(f"{self.message.rstrip('.')}. {fix}.")


def problem_of(error: Exception, setting: str) -> RedisProblem:
    """Return what an error means. `setting` names the URL of the server in the fix."""
    for cause in causes_of(error):
        if problem := _known_problem(cause, setting):
            return problem
    if isinstance(error, (*REDIS_UNAVAILABLE, TimeoutError)):
        reason = str(error) or f"no response within {RESPONSE_SECONDS:.0f} seconds"
        fix = "start the server, or restore the connection"
        return RedisProblem(f"is unreachable: {reason}", fix)
    return RedisProblem(f"rejected a command: {error}", "see the log of the server")


def cluster_node_problem(setting: str) -> RedisProblem:
    """A setting that needs a standalone server names a node of a cluster."""
    fix = "set redis.url to a server outside a cluster"
    if setting == "redis.streams_url":
        fix = "use the scheme cluster:// in redis.streams_url"
    return RedisProblem("is a cluster node and holds only a part of the keys", fix)


def replica_problem(setting: str) -> RedisProblem:
    return RedisProblem("is a read-only replica", f"set {setting} to its primary")


def _known_problem(error: BaseException, setting: str) -> RedisProblem | None:
    for kind, message, fix in _PROBLEMS:
        if isinstance(error, kind):
            return RedisProblem(message.format(error=error), fix.format(setting=setting))
    match error:
        case ReadOnlyError():
            return replica_problem(setting)
        case RedisError() if str(error).startswith("NOREPLICAS"):
            fix = "restore the replicas, which min-replicas-to-write requires"
            return RedisProblem("has too few replicas to accept writes", fix)
        case RedisError() if str(error).startswith("MISCONF"):
            fix = "see its log: it cannot write to its disk"
            return RedisProblem("accepts no writes because saving to the disk failed", fix)
        case RedisError():
            return _cluster_problem(str(error), setting)
        case _:
            return None


def _cluster_problem(reply: str, setting: str) -> RedisProblem | None:
    if reply.startswith(("MOVED ", "ASK ", "CROSSSLOT")):
        return cluster_node_problem(setting)
    if reply.startswith(("CLUSTERDOWN", "TRYAGAIN")):
        return RedisProblem(f"belongs to an incomplete cluster: {reply}", MISSING_NODE_FIX)
    if "cluster support disabled" in reply:
        return RedisProblem("is not a cluster node", f"use the scheme redis:// in {setting}")
    return None
