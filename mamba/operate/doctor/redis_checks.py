"""Checks of the Redis servers: version, configuration, memory, latency and clock."""

import time
from collections.abc import Iterator
from typing import Any, cast

from mamba.operate.deployment import Deployment, address
from mamba.operate.doctor.diagnosis import Diagnosis
from mamba.operate.redis_problems import (
    MEMORY_FIX,
    MISSING_NODE_FIX,
    cluster_node_problem,
    problem_of,
    replica_problem,
)
from mamba.operate.top.levels import LATENCY, MEMORY
from shared.redis import keys
from shared.redis.client import REDIS_UNAVAILABLE, RedisError
from shared.redis.failover import MIN_REPLICAS_FIX, accepts_unreplicated_writes
from shared.redis.memory import ServerMemory
from shared.settings import Settings

_MIN_VERSION = 7
_MAX_CLOCK_SKEW_SECONDS = 1.0
#: The fastest of several counts, because this process may be interrupted during one.
_PINGS = 3
_SETTINGS = {"redis": "redis.url", "streams": "redis.streams_url"}


async def check_queue_server(deployment: Deployment) -> list[Diagnosis]:
    try:
        reply: object = await deployment.redis.execute_command("INFO")
    except REDIS_UNAVAILABLE:
        raise
    except RedisError as error:
        reply = error
    settings = deployment.settings
    return [*_check_server("redis", address(settings.redis.url), reply, settings)]


async def check_latency(deployment: Deployment) -> list[Diagnosis]:
    round_trips: list[float] = []
    for _ in range(_PINGS):
        started = time.perf_counter()
        await deployment.redis.execute_command("PING")
        round_trips.append((time.perf_counter() - started) * 1000)
    if (latency := min(round_trips)) < LATENCY.yellow:
        return []
    message = f"a round trip takes {latency:.0f} ms, which delays every answer"
    return [Diagnosis("redis", "warning", message, "see MambaRedisSlow in docs/operate/runbook.md")]


async def check_stream_servers(deployment: Deployment) -> list[Diagnosis]:
    """Check the nodes that hold the streams, if they are not on the queue's Redis."""
    stores, settings = deployment.stores, deployment.settings
    if not stores.split:
        return []
    findings: list[Diagnosis] = []
    for node, reply in (await stores.each_stream_node("INFO")).items():
        name = node or address(settings.redis.streams_url or settings.redis.url)
        findings += _check_server("streams", name, reply, settings, standalone=not node)
    if slots := stores.uncovered_slots:
        message = f"no node serves {slots} hash slots"
        findings.append(Diagnosis("streams", "error", message, MISSING_NODE_FIX))
    return findings + await _check_publishing(deployment)


async def _check_publishing(deployment: Deployment) -> list[Diagnosis]:
    """Without permission to publish, followers receive no events and answers never end."""
    stores = deployment.stores
    publish = "SPUBLISH" if stores.cluster else "PUBLISH"
    try:
        await stores.streams_redis.execute_command(publish, keys.stream("doctor"), "")
    except REDIS_UNAVAILABLE:
        return []  # reported by the check of its node
    except RedisError as error:
        fix = "allow the user of redis.streams_url the channels &mamba:*"
        return [Diagnosis("streams", "error", str(error), fix)]
    return []


async def check_clock(deployment: Deployment) -> list[Diagnosis]:
    before = time.time()
    redis_time = await deployment.redis_time_ms() / 1000
    skew = redis_time - (before + time.time()) / 2
    if abs(skew) < _MAX_CLOCK_SKEW_SECONDS:
        return [Diagnosis("clock", "ok", f"within {abs(skew) * 1000:.0f} ms of the Redis clock")]
    message = f"{abs(skew):.1f} s {'behind' if skew > 0 else 'ahead of'} the Redis clock"
    fix = "run NTP on both machines: token expiry depends on the clock"
    return [Diagnosis("clock", "error", message, fix)]


def _check_server(
    part: str, server: str, reply: object, settings: Settings, *, standalone: bool = True
) -> Iterator[Diagnosis]:
    """Check a server's reply to INFO. A `standalone` server must hold all keys."""
    if isinstance(reply, REDIS_UNAVAILABLE):
        problem = problem_of(reply, _SETTINGS[part])
        yield Diagnosis(part, "error", f"{server} {problem.message}", problem.fix)
    elif not isinstance(reply, dict):
        message = f"{server} responds, but rejects INFO: its configuration was not checked"
        yield Diagnosis(part, "warning", message)
    else:
        info = cast("dict[str, Any]", reply)
        yield _check_version(part, server, info)
        if standalone and info.get("cluster_enabled"):
            problem = cluster_node_problem(_SETTINGS[part])
            yield Diagnosis(part, "error", f"{server} {problem.message}", problem.fix)
        yield from _check_role(part, info)
        yield from _check_replication(part, info)
        if replicas := settings.redis.confirm_replicas:
            yield _check_replicas(part, server, info, replicas)
        if memory := ServerMemory.parse(info):
            yield from _check_memory(part, memory, settings.limits.redis_memory)
        yield from _check_durability(part, info)


def _check_version(part: str, server: str, info: dict[str, Any]) -> Diagnosis:
    version = str(info.get("valkey_version") or info.get("redis_version", "0"))
    message = f"version {version} at {server}"
    if int(version.partition(".")[0]) >= _MIN_VERSION:
        return Diagnosis(part, "ok", message)
    return Diagnosis(part, "error", message, f"upgrade to Redis or Valkey {_MIN_VERSION} or newer")


def _check_role(part: str, info: dict[str, Any]) -> Iterator[Diagnosis]:
    if info.get("role") == "slave":
        yield Diagnosis(part, "error", *replica_problem(_SETTINGS[part]))


def _check_replication(part: str, info: dict[str, Any]) -> Iterator[Diagnosis]:
    if accepts_unreplicated_writes(info):
        message = "accepts writes that no replica receives, which a failover loses"
        yield Diagnosis(part, "warning", message, MIN_REPLICAS_FIX)


def _check_replicas(part: str, server: str, info: dict[str, Any], required: int) -> Diagnosis:
    listed = [info.get(f"slave{number}", {}) for number in range(info.get("connected_slaves", 0))]
    online = sum(replica.get("state") == "online" for replica in listed)
    if online >= required:
        return Diagnosis(part, "ok", f"replicas of {server} that can confirm: {online}")
    message = (
        f"{server} has {online} of the {required} replicas that redis.confirm_replicas requires,"
        " so answers pause and new chats are rejected"
    )
    return Diagnosis(part, "error", message, "add replicas, or lower redis.confirm_replicas")


def _check_memory(part: str, memory: ServerMemory, max_share: float) -> Iterator[Diagnosis]:
    """Check the memory. Above `max_share`, new chats are rejected; 0: at 100 %."""
    share = memory.used_share
    if share >= min(MEMORY.yellow, max_share or 1):
        rejected = f"above {max_share:.0%} (limits.redis_memory)" if max_share else "at 100%"
        yield Diagnosis(
            part,
            "error" if share >= min(MEMORY.red, max_share or 1) else "warning",
            f"uses {share:.0%} of its memory; new chats are rejected {rejected}",
            MEMORY_FIX,
        )


def _check_durability(part: str, info: dict[str, Any]) -> Iterator[Diagnosis]:
    policy = str(info.get("maxmemory_policy", "noeviction"))
    if policy != "noeviction":
        yield Diagnosis(
            part,
            "error" if info.get("maxmemory") else "warning",
            f"evicts keys when its memory is full ({policy}), which loses answers",
            "set maxmemory-policy to noeviction",
        )
    if not info.get("aof_enabled"):
        message = "has no append-only file: a restart loses all runs and streams"
        yield Diagnosis(part, "warning", message, "set appendonly to yes")
