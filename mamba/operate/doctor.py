"""`mamba doctor`: what is wrong with the house, and what to do about it."""

import json
import os
import time
from collections.abc import AsyncIterator, Mapping
from importlib.util import find_spec
from typing import Any, Literal, NamedTuple, cast

from mamba.cli_errors import CommandFailed, told
from mamba.operate.deployment import Deployment, address, opened
from mamba.operate.table import GREEN, PLAIN, RED, YELLOW
from mamba.operate.top.levels import LATENCY, SHARE
from shared.errors import SettingsError
from shared.providers.health import ProviderReports
from shared.providers.names import answers, configured
from shared.redis import keys
from shared.redis.client import REDIS_AWAY, RedisError
from shared.settings import Settings, load_settings
from shared.telemetry.tracing.variables import TracingRefused, plan_of

_OLDEST_REDIS = 7
_SKEW_SECONDS = 1.0
_LONG_WAIT_MS = 10_000
#: Of so many round trips the fastest counts: a pause of this process is not Redis'.
_TRIPS = 3
_URLS = {"redis": "redis.url", "streams": "redis.streams_url"}

#: What to do about a node of a cluster where one server should be.
_ALONE = {
    "redis": "set redis.url to a server that is none",
    "streams": "write cluster:// in redis.streams_url",
}

_COLORS = {"ok": GREEN, "warning": YELLOW, "wrong": RED}


class Diagnosis(NamedTuple):
    part: str
    status: Literal["ok", "warning", "wrong"]
    said: str
    #: What to do about it.
    cure: str = ""


async def diagnose(*, as_json: bool, color: bool) -> bool:
    """Tell all findings, each as it comes; whether nothing is wrong."""
    findings: list[Diagnosis] = []
    async for finding in _findings():
        findings.append(finding)
        if not as_json:
            told(_line(finding, color=color))
    if as_json:
        told(json.dumps([finding._asdict() for finding in findings]))
    return all(finding.status != "wrong" for finding in findings)


async def _findings() -> AsyncIterator[Diagnosis]:
    try:
        settings = load_settings()
    except SettingsError as error:
        yield Diagnosis("settings", "wrong", str(error), "see docs/reference/configuration.md")
        return
    yield Diagnosis("settings", "ok", "can be read")
    for finding in (*_of_settings(settings), traced(os.environ)):
        yield finding
    try:
        async with opened(settings) as house:
            for check in (_redis, _round_trip, _streams, _clock, _workers, _queues, _providers):
                for finding in await check(house):
                    yield finding
    except CommandFailed as failure:
        yield Diagnosis("redis", "wrong", str(failure), "start it, or put that setting right")


def _of_settings(settings: Settings) -> list[Diagnosis]:
    found: list[Diagnosis] = []
    if not (settings.openai.demo or answers(settings)):
        found.append(Diagnosis("model", "wrong", "no model is configured", "set OPENAI_API_KEY"))
    if settings.openai.demo:
        said, cure = "the built-in demo model answers", "set OPENAI_API_KEY for a real one"
        found.append(Diagnosis("model", "warning", said, cure))
    if settings.auth.mode == "none" and settings.server.host in ("0.0.0.0", "::"):
        said = f"everybody who reaches {settings.server.host} may ask, as one and the same"
        found.append(Diagnosis("auth", "warning", said, "see docs/operate/authentication.md"))
    return found


def traced(environment: Mapping[str, str]) -> Diagnosis:
    """By the variables of this process: those of the others may be others."""
    try:
        plan = plan_of(environment)
    except TracingRefused as error:
        return Diagnosis("tracing", "warning", str(error), "put it right; docs/operate/tracing.md")
    if plan is None:
        return Diagnosis("tracing", "ok", "off")
    if find_spec("opentelemetry") is None or find_spec("opentelemetry.sdk") is None:
        cure = "pip install 'mamba-server[tracing]'"
        return Diagnosis("tracing", "warning", "asked for, and its packages are missing", cure)
    return Diagnosis("tracing", "ok", f"on: spans go to {plan.shown_endpoint or 'the console'}")


async def _redis(house: Deployment) -> list[Diagnosis]:
    try:
        reply: object = await house.redis.execute_command("INFO")
    except REDIS_AWAY:
        raise
    except RedisError as error:
        reply = error
    return _server("redis", address(house.settings.redis.url), reply)


async def _round_trip(house: Deployment) -> list[Diagnosis]:
    trips: list[float] = []
    for _ in range(_TRIPS):
        began = time.perf_counter()
        await house.redis.execute_command("PING")
        trips.append((time.perf_counter() - began) * 1000)
    if (latency := min(trips)) < LATENCY.yellow:
        return []
    said = f"a round trip takes {latency:.0f} ms: every answer waits for it"
    return [Diagnosis("redis", "warning", said, "MambaRedisSlow in docs/operate/runbook.md")]


async def _streams(house: Deployment) -> list[Diagnosis]:
    """The nodes of the logs, where they are apart."""
    if not house.stores.split:
        return []
    nodes = await house.stores.each_log_node("INFO")
    place = address(house.settings.redis.streams_url or house.settings.redis.url)
    found: list[Diagnosis] = []
    for node, reply in nodes.items():
        found += _server("streams", node or place, reply, alone=not node)
    if slots := house.stores.uncovered:
        said, cure = f"no node has {slots} of the slots", "see CLUSTER NODES; bring the node back"
        found.append(Diagnosis("streams", "wrong", said, cure))
    return found + await _channels(house)


async def _channels(house: Deployment) -> list[Diagnosis]:
    """Whether what is written can be published: else nobody is told of it, and no answer ends."""
    publish = "SPUBLISH" if house.stores.cluster else "PUBLISH"
    try:
        await house.stores.logs.execute_command(publish, keys.stream("doctor"), "")
    except REDIS_AWAY:
        return []  # which was told by its node
    except RedisError as error:
        cure = "give the user of redis.streams_url its channels, &mamba:*"
        return [Diagnosis("streams", "wrong", str(error), cure)]
    return []


def _server(part: str, place: str, reply: object, *, alone: bool = True) -> list[Diagnosis]:
    """What a server tells of itself, which is to have all keys where it is `alone`."""
    if isinstance(reply, REDIS_AWAY):
        return [Diagnosis(part, "wrong", f"{place} does not answer: {reply}", "bring it back")]
    if not isinstance(reply, dict):
        return [Diagnosis(part, "warning", f"{place} answers, and does not tell of itself")]
    info = cast("dict[str, Any]", reply)
    version = str(info.get("valkey_version") or info.get("redis_version", "0"))
    new_enough = int(version.partition(".")[0]) >= _OLDEST_REDIS
    cure = "" if new_enough else f"take Redis or Valkey {_OLDEST_REDIS} or newer"
    found = [
        Diagnosis(part, "ok" if new_enough else "wrong", f"version {version} at {place}", cure)
    ]
    if alone and info.get("cluster_enabled"):
        said = f"{place} is a node of a cluster, and has only a part of the keys"
        found.append(Diagnosis(part, "wrong", said, _ALONE[part]))
    policy = str(info.get("maxmemory_policy", "noeviction"))
    if policy != "noeviction":
        said = f"when its memory is full it throws keys away ({policy}), and answers with them"
        cure = "set maxmemory-policy to noeviction"
        found.append(Diagnosis(part, "wrong" if info.get("maxmemory") else "warning", said, cure))
    if info.get("role") == "slave":
        said = "is a replica: nothing can be written"
        found.append(Diagnosis(part, "wrong", said, f"name its primary in {_URLS[part]}"))
    used, limit = info.get("used_memory", 0), info.get("maxmemory", 0)
    if limit and used >= SHARE.yellow * limit:
        said = f"{used / limit:.0%} of its memory is used; full it takes no chat"
        status = "wrong" if used >= SHARE.red * limit else "warning"
        cure = "raise maxmemory, or shorten run.retention_seconds"
        found.append(Diagnosis(part, status, said, cure))
    if not info.get("aof_enabled"):
        said = "keeps nothing through a restart: answers that are being made would be lost"
        found.append(Diagnosis(part, "warning", said, "set appendonly to yes"))
    return found


async def _clock(house: Deployment) -> list[Diagnosis]:
    before = time.time()
    seconds, micros = await house.redis.execute_command("TIME")
    skew = int(seconds) + int(micros) / 1e6 - (before + time.time()) / 2
    if abs(skew) < _SKEW_SECONDS:
        return [Diagnosis("clock", "ok", f"{abs(skew) * 1000:.0f} ms apart from Redis'")]
    said = f"{abs(skew):.1f} s {'behind' if skew > 0 else 'ahead of'} Redis'"
    return [Diagnosis("clock", "wrong", said, "run NTP on both machines; tokens expire by it")]


async def _workers(house: Deployment) -> list[Diagnosis]:
    alive = [worker for worker in await house.workers.alive() if not worker.draining]
    if not alive:
        return [Diagnosis("workers", "wrong", "none is alive: no chat is answered", "mamba worker")]
    running = sum(worker.running for worker in alive)
    places = sum(worker.concurrency for worker in alive)
    said = f"{len(alive)} alive, {running} of {places} places taken"
    if running >= places:
        return [Diagnosis("workers", "warning", said, "start more of them")]
    return [Diagnosis("workers", "ok", said)]


async def _queues(house: Deployment) -> list[Diagnosis]:
    found: list[Diagnosis] = []
    for queue, depth in (await house.queue.depths(await house.queues())).items():
        said = f"{depth.waiting} waiting, {depth.running} running, {depth.deferred} deferred"
        if depth.oldest_wait_ms > _LONG_WAIT_MS:
            said += f"; the oldest waits for {depth.oldest_wait_ms / 1000:.0f} s"
            cure = "start more workers; does one serve this queue (worker.queues)?"
            found.append(Diagnosis(f"queue {queue}", "wrong", said, cure))
        else:
            found.append(Diagnosis(f"queue {queue}", "ok", said))
    return found


async def _providers(house: Deployment) -> list[Diagnosis]:
    settings = house.settings
    names = [] if settings.openai.demo else [one.name for one in configured(settings)]
    reports = {one.name: one for one in await ProviderReports(house.redis, ttl=1).read(names)}
    return [_provider(name, reports) for name in names]


def _provider(name: str, reports: dict[str, Any]) -> Diagnosis:
    report, part = reports.get(name), f"provider {name}"
    if report is None:
        return Diagnosis(part, "warning", "no worker has reported on it yet")
    if not report.healthy:
        return Diagnosis(part, "wrong", f"fails: {report.error}", "see docs/reference/errors.md")
    return Diagnosis(part, "ok", f"answers in {report.latency_ms:.0f} ms")


def _line(finding: Diagnosis, *, color: bool) -> str:
    status = f"{finding.status:8}"
    if color:
        status = f"{_COLORS[finding.status]}{status}{PLAIN}"
    cure = f"\n          → {finding.cure}" if finding.cure else ""
    return f"{status}  {finding.part}: {finding.said}{cure}"
