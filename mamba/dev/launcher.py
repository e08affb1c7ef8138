"""`mamba dev`: runs Valkey, the API and a worker as child processes, and ends all of them."""

import asyncio
import errno
import os
import socket
import sys
from collections.abc import Generator, Mapping
from contextlib import AsyncExitStack, aclosing, contextmanager
from dataclasses import dataclass
from functools import partial

from mamba.cli_errors import cannot_listen
from mamba.dev.control_socket import ControlSocket
from mamba.dev.output import print_error, print_out
from mamba.dev.readiness import (
    DevError,
    wait_for_api,
    wait_for_redis,
    wait_for_worker,
    worker_ids,
)
from mamba.dev.replaceable_child import ReplaceableChild
from mamba.dev.valkey import embedded_valkey, free_port, valkey_binary
from mamba.dev.welcome import welcome
from mamba.supervisor.children import Child, ChildEnded, Children
from mamba.supervisor.signals import Interrupted, SignalQueue, queued_signals
from shared.providers.names import has_usable_model
from shared.redis.client import Redis, connect
from shared.settings import Settings, load_settings

#: Defaults for development. They apply to settings that no source sets.
_DEFAULTS = {
    ("logging", "format"): "console",
    ("logging", "quiet_routes"): '["GET /chats"]',  # the playground polls it
    ("playground", "enabled"): "true",
    ("server", "host"): "127.0.0.1",
    ("server", "shutdown_grace_seconds"): "2",
    ("worker", "drain_seconds"): "2",
}

#: Defaults while the demo model answers. The playground can make it hang, so its timeout is short.
_DEMO_DEFAULTS = {("openai", "timeout_seconds"): "5"}


@dataclass(frozen=True)
class LaunchPlan:
    host: str
    port: int
    demo: bool
    redis_url: str  # empty: start the embedded Valkey
    valkey: str
    environment: Mapping[str, str]


def run() -> int:
    """Serve until a signal or a failure. Returns the exit code.

    Raises:
        SettingsError: if the settings are invalid. Nothing has been started then.
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
    demo = settings.openai.demo or not has_usable_model(settings)
    environment = {
        **os.environ,
        **_default_variables(settings, _DEFAULTS | (_DEMO_DEFAULTS if demo else {})),
        "MAMBA_SERVER__PORT": str(port),
        "MAMBA_OPENAI__DEMO": str(demo).lower(),
        "PYTHONUNBUFFERED": "1",
    }
    host = environment.get("MAMBA_SERVER__HOST", settings.server.host)
    redis_url = settings.redis.url if "url" in settings.redis.model_fields_set else ""
    valkey = "" if redis_url else valkey_binary()
    return LaunchPlan(host, port, demo, redis_url, valkey, environment)


def _default_variables(
    settings: Settings, defaults: Mapping[tuple[str, str], str]
) -> dict[str, str]:
    return {
        f"MAMBA_{section}__{name}".upper(): value
        for (section, name), value in defaults.items()
        if name not in getattr(settings, section).model_fields_set
    }


async def _run(plan: LaunchPlan) -> None:
    with queued_signals() as signals:
        async with AsyncExitStack() as stack:
            with _report_end():
                _check_port(plan.host, plan.port)
                async with asyncio.TaskGroup() as watch:
                    watch.create_task(_raise_on_signal(signals))
                    await _start(plan, stack, watch, signals)


async def _start(
    plan: LaunchPlan, stack: AsyncExitStack, watch: asyncio.TaskGroup, signals: SignalQueue
) -> None:
    redis_url = plan.redis_url
    if not redis_url:
        embedded = embedded_valkey(plan.valkey, signals)
        valkey, redis_url = await stack.enter_async_context(embedded)
        watch.create_task(valkey.must_live())
    redis = await stack.enter_async_context(aclosing(_connect(redis_url)))
    await wait_for_redis(redis, redis_url)

    workers_before = await worker_ids(redis)
    environment = {**plan.environment, "MAMBA_REDIS__URL": redis_url}
    control = ControlSocket()
    socket_path = await stack.enter_async_context(control.listen())
    children = await stack.enter_async_context(Children(signals))
    start_api = partial(_start_child, children, environment, "api", "--launcher", socket_path)
    start_worker = partial(_start_child, children, environment, "worker")
    api, worker = await start_api(), await start_worker()
    replaceable = ReplaceableChild(api, start_api), ReplaceableChild(worker, start_worker)
    control.control(*replaceable)
    for child in replaceable:
        watch.create_task(child.must_live())
    await wait_for_api(api, plan.host, plan.port)
    await wait_for_worker(worker, redis, workers_before)
    embedded_url = "" if plan.redis_url else redis_url
    print_out(welcome(plan.host, plan.port, demo=plan.demo, redis=embedded_url))


async def _start_child(
    children: Children, environment: Mapping[str, str], command: str, *options: str
) -> Child:
    def print_line(line: str) -> None:
        print_out(f"{command} │ {line}")

    return await children.start(
        command,
        *(sys.executable, "-m", "mamba", command, *options),
        environment=environment,
        on_line=print_line,
    )


async def _raise_on_signal(signals: SignalQueue) -> None:
    await signals.next()
    raise Interrupted


@contextmanager
def _report_end() -> Generator[None]:
    """Print the reason before the children end, whose output would otherwise bury it."""
    try:
        yield
    except* Interrupted:
        print_out("\nStopping …")
        raise
    except* (DevError, ChildEnded) as failures:
        print_error("\n".join(f"mamba dev: {failure}" for failure in failures.exceptions))
        raise


def _check_port(host: str, port: int) -> None:
    """Fail before anything starts rather than when the API starts to listen on the port."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise DevError(f"port {port} is in use; set MAMBA_SERVER__PORT") from None
        raise DevError(cannot_listen(host, port, error)) from None


def _connect(url: str) -> Redis:
    try:
        return connect(url, name="mamba-dev", max_connections=2)
    except ValueError as error:
        raise DevError(f"MAMBA_REDIS__URL is invalid: {error}") from None
