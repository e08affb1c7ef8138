"""`mamba dev`: Valkey, the API and a worker as children of one process, which ends them all."""

import asyncio
import errno
import os
import socket
import sys
from collections.abc import Awaitable, Callable, Generator, Mapping
from contextlib import AsyncExitStack, aclosing, contextmanager
from dataclasses import dataclass
from functools import partial
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit

from redis.exceptions import RedisError

from mamba.dev.output import complain, say
from mamba.dev.valkey import embedded_valkey, free_port, valkey_binary
from mamba.dev.welcome import welcome
from mamba.processes.children import Child, ChildEnded, Children
from mamba.processes.signals import Interrupted, SignalQueue, heard_interrupts
from shared.processes.workers import WorkerRegistry
from shared.providers.names import answers
from shared.redis.client import Redis, connect
from shared.settings import Settings, load_settings

READY_SECONDS = 30
REDIS_SECONDS = 10
#: What development wants where nobody has said otherwise.
DEFAULTS = {
    ("logging", "format"): "console",
    ("server", "host"): "127.0.0.1",
    ("server", "shutdown_grace_seconds"): "2",
    ("worker", "drain_seconds"): "2",
}


class DevError(Exception):
    """What keeps `mamba dev` from running, in words for its user."""


@dataclass(frozen=True)
class LaunchPlan:
    host: str
    port: int
    demo: bool
    redis_url: str  # empty: the embedded Valkey of that binary
    valkey: str
    environment: Mapping[str, str]


def run() -> int:
    """Serve until an interrupt or a failure, and return the exit code.

    Raises:
        SettingsError: before anything has been started.
    """
    code = 0
    try:
        asyncio.run(_run(_plan(load_settings())))
    except* (DevError, ChildEnded):
        code = 1
    except* Interrupted:
        code = 0
    return code


def _plan(settings: Settings) -> LaunchPlan:
    port = settings.server.port or free_port()
    openai = settings.openai
    demo = openai.demo or not answers(settings)
    environment = {
        **os.environ,
        **_defaults(settings),
        "MAMBA_SERVER__PORT": str(port),
        "MAMBA_OPENAI__DEMO": str(demo).lower(),
        "PYTHONUNBUFFERED": "1",
    }
    host = environment.get("MAMBA_SERVER__HOST", settings.server.host)
    redis_url = settings.redis.url if "url" in settings.redis.model_fields_set else ""
    valkey = "" if redis_url else valkey_binary()
    return LaunchPlan(host, port, demo, redis_url, valkey, environment)


def _defaults(settings: Settings) -> dict[str, str]:
    """As variables, for the children: those that no source of the settings names."""
    return {
        f"MAMBA_{section}__{name}".upper(): value
        for (section, name), value in DEFAULTS.items()
        if name not in getattr(settings, section).model_fields_set
    }


async def _run(plan: LaunchPlan) -> None:
    with heard_interrupts() as interrupts:
        async with AsyncExitStack() as stack:
            with _told():
                _check_port(plan.host, plan.port)
                async with asyncio.TaskGroup() as watch:
                    watch.create_task(_end_on(interrupts))
                    await _start(plan, stack, watch, interrupts)


async def _start(
    plan: LaunchPlan, stack: AsyncExitStack, watch: asyncio.TaskGroup, interrupts: SignalQueue
) -> None:
    redis_url = plan.redis_url
    if not redis_url:
        embedded = embedded_valkey(plan.valkey, interrupts)
        valkey, redis_url = await stack.enter_async_context(embedded)
        watch.create_task(valkey.must_live())
    redis = await stack.enter_async_context(aclosing(_client(redis_url)))
    await _reachable(redis, redis_url)

    workers_before = await _workers(redis)
    environment = {**plan.environment, "MAMBA_REDIS__URL": redis_url}
    children = await stack.enter_async_context(Children(interrupts))
    api = await _serve(children, "api", environment)
    worker = await _serve(children, "worker", environment)
    watch.create_task(api.must_live())
    watch.create_task(worker.must_live())
    await _ready(api, partial(_api_answers, plan.host, plan.port))
    await _ready(worker, partial(_worker_joined, redis, workers_before))
    embedded_url = "" if plan.redis_url else redis_url
    say(welcome(plan.host, plan.port, demo=plan.demo, redis=embedded_url))


async def _serve(children: Children, command: str, environment: Mapping[str, str]) -> Child:
    def show(line: str) -> None:
        say(f"{command} │ {line}")

    return await children.start(
        command, sys.executable, "-m", "mamba", command, environment=environment, show=show
    )


async def _end_on(interrupts: SignalQueue) -> None:
    await interrupts.next()
    raise Interrupted


@contextmanager
def _told() -> Generator[None]:
    """Say why everything ends before it ends: the children's last words would bury it."""
    try:
        yield
    except* Interrupted:
        say("\nEnding …")
        raise
    except* (DevError, ChildEnded) as failures:
        complain("\n".join(f"mamba dev: {failure}" for failure in failures.exceptions))
        raise


def _check_port(host: str, port: int) -> None:
    """Raise before anything is started, rather than let the API fail after the rest came up."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise DevError(f"port {port} is in use; set MAMBA_SERVER__PORT") from None
        raise DevError(f"cannot listen on {host}:{port}: {error.strerror}") from None


async def _reachable(redis: Redis, url: str) -> None:
    try:
        async with asyncio.timeout(REDIS_SECONDS):
            await _until(partial(_redis_answers, redis))
    except TimeoutError:
        place = urlsplit(url)
        where = place.netloc.rpartition("@")[2] or place.path
        raise DevError(f"no Redis answers at {where}; see MAMBA_REDIS__URL") from None


async def _ready(child: Child, is_ready: Callable[[], Awaitable[bool]]) -> None:
    try:
        async with asyncio.timeout(READY_SECONDS):
            await _until(is_ready)
    except TimeoutError:
        raise DevError(
            f"{child.name} was not ready after {READY_SECONDS} seconds{child.last_words}"
        ) from None


async def _until(holds: Callable[[], Awaitable[bool]]) -> None:
    while not await holds():  # noqa: ASYNC110 - what is awaited is in other processes
        await asyncio.sleep(0.05)


async def _api_answers(host: str, port: int) -> bool:
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return await asyncio.to_thread(_is_healthy, reachable, port)


def _is_healthy(host: str, port: int) -> bool:
    connection = HTTPConnection(host, port, timeout=2)
    try:
        connection.request("GET", "/health/ready")
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


async def _redis_answers(redis: Redis) -> bool:
    try:
        await redis.execute_command("PING")
    except (RedisError, OSError):
        return False
    return True


async def _worker_joined(redis: Redis, before: set[str]) -> bool:
    return bool(await _workers(redis) - before)


async def _workers(redis: Redis) -> set[str]:
    return {worker.id for worker in await WorkerRegistry(redis).alive()}


def _client(url: str) -> Redis:
    try:
        return connect(url, name="mamba-dev", max_connections=2)
    except ValueError as error:
        raise DevError(f"MAMBA_REDIS__URL is wrong: {error}") from None
