"""What the commands report for each kind of error of a Redis server."""

from typing import cast

import pytest
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
)
from redis.exceptions import ConnectionError as RedisConnectionError

from mamba.operate.deployment import Deployment, open_deployment
from mamba.operate.doctor.redis_checks import check_queue_server
from mamba.operate.redis_problems import RedisFailed, problem_of
from shared.redis.client import Argument, Redis
from shared.redis.confirmation import Unconfirmed
from shared.redis.sentinel import NoPrimary
from shared.runs.stores import Stores
from shared.settings import LimitSettings, RedisSettings, Settings
from tests.support.processes import Valkey


def wrapped(error: Exception) -> Exception:
    """As redis-py reports what fails while it connects."""
    outer = RedisConnectionError(str(error))
    outer.__cause__ = error
    return outer


@pytest.mark.parametrize(
    ("error", "message", "fix"),
    [
        (AuthenticationError("bad"), "rejected the credentials: bad", "password in redis.url"),
        (wrapped(AuthenticationError("bad")), "rejected the credentials", "password in redis.url"),
        (NoPermissionError("no"), "does not permit a command: no", "the user of redis.url"),
        (ReadOnlyError("x"), "is a read-only replica", "set redis.url to its primary"),
        (BusyLoadingError("x"), "is loading its data", "try again"),
        (OutOfMemoryError("x"), "has no memory left", "raise maxmemory"),
        (wrapped(NoPrimary("None yet.")), "has no primary: None yet.", "SENTINEL MASTERS"),
        (Unconfirmed("0 of 1"), "has too few replicas: 0 of 1", "redis.confirm_replicas"),
        (RedisConnectionError("NOREPLICAS x"), "too few replicas to accept", "min-replicas"),
        (RedisConnectionError("MISCONF x"), "saving to the disk failed", "see its log"),
        (ResponseError("MOVED 1 host:1"), "is a cluster node", "outside a cluster"),
        (RedisConnectionError("CLUSTERDOWN x"), "an incomplete cluster: CLUSTERDOWN x", "missing"),
        (RedisConnectionError("refused"), "is unreachable: refused", "start the server"),
        (ConnectionRefusedError("refused"), "is unreachable: refused", "start the server"),
        (TimeoutError(), "is unreachable: no response within 5 seconds", "start the server"),
        (ResponseError("ERR syntax"), "rejected a command: ERR syntax", "the log of the server"),
    ],
    ids=lambda value: repr(value) if isinstance(value, Exception) else None,
)
def test_error_is_reported_with_its_fix(error: Exception, message: str, fix: str) -> None:
    problem = problem_of(error, "redis.url")

    assert message in problem.message
    assert fix in problem.fix
    assert ("unreachable" in problem.message) is ("unreachable" in message)


async def test_error_of_a_command_is_not_always_unreachable(valkey: Valkey) -> None:
    with pytest.raises(RedisFailed) as failed:
        async with open_deployment(Settings(redis=RedisSettings(url=valkey.url))):
            raise ReadOnlyError

    assert str(failed.value) == (
        f"Redis at 127.0.0.1:{valkey.port} is a read-only replica. Set redis.url to its primary."
    )


async def test_single_server_as_a_cluster_is_named(valkey: Valkey) -> None:
    url = f"cluster://127.0.0.1:{valkey.port}"
    settings = Settings(redis=RedisSettings(url=valkey.url, streams_url=url))

    with pytest.raises(RedisFailed, match=r"streams_url\) is not a cluster node\. Use the scheme"):
        await open_deployment(settings).__aenter__()


class InfoRedis:
    """Replies to INFO with this use of its memory."""

    def __init__(self, used: int, limit: int) -> None:
        self._memory = {"used_memory": used, "maxmemory": limit}

    async def execute_command(self, *args: Argument) -> object:
        assert args == ("INFO",)
        return {"redis_version": "7.2.0", "aof_enabled": 1, **self._memory}


@pytest.mark.parametrize(
    ("used", "limit", "max_share", "found"),
    [
        (69, 100, 0.85, None),
        (75, 100, 0.85, ("warning", "uses 75% of its memory; new chats are rejected above 85%")),
        (86, 100, 0.85, ("error", "uses 86% of its memory; new chats are rejected above 85%")),
        (60, 100, 0.5, ("error", "uses 60% of its memory; new chats are rejected above 50%")),
        (86, 100, 0, ("warning", "uses 86% of its memory; new chats are rejected at 100%")),
        (91, 100, 0, ("error", "uses 91% of its memory; new chats are rejected at 100%")),
        (91, 0, 0.85, None),
    ],
)
async def test_doctor_names_the_share_that_rejects_chats(
    used: int, limit: int, max_share: float, found: tuple[str, str] | None
) -> None:
    redis = cast("Redis", InfoRedis(used, limit))
    settings = Settings(limits=LimitSettings(redis_memory=max_share))
    deployment = Deployment(settings, Stores(redis, redis, live_ttl=60, retention=60))

    _, *findings = await check_queue_server(deployment)

    assert [(finding.status, finding.message.partition(" (")[0]) for finding in findings] == (
        [found] if found else []
    )
