"""Commands from the API to `mamba dev`, over a Unix socket that only this user can open.

A client sends one command per connection, as a line, and receives its result as a line.
"""

import asyncio
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from mamba.dev.replaceable_child import ReplaceableChild

_KILL_WORKER, _RESTART_API = "kill-worker", "restart-api"
_DONE, _REFUSED = "done", "refused"
_TIMEOUT_SECONDS = 5


class LauncherClient:
    """Sends commands to the launcher.

    Raises:
        OSError: if the launcher does not respond.
    """

    def __init__(self, path: str) -> None:
        self._path = path

    async def kill_worker(self, pid: int) -> bool:
        """Kill the worker. Returns False if the launcher has not started a worker with this id."""
        return await self._send(f"{_KILL_WORKER} {pid}")

    async def restart_api(self) -> bool:
        return await self._send(_RESTART_API)

    async def _send(self, command: str) -> bool:
        async with asyncio.timeout(_TIMEOUT_SECONDS):
            reader, writer = await asyncio.open_unix_connection(self._path)
            try:
                writer.write(f"{command}\n".encode())
                return (await reader.readline()).decode().strip() == _DONE
            finally:
                writer.close()


class ControlSocket:
    """Executes the commands, only on the two processes that `control` receives."""

    def __init__(self) -> None:
        self._api: ReplaceableChild | None = None
        self._worker: ReplaceableChild | None = None

    def control(self, api: ReplaceableChild, worker: ReplaceableChild) -> None:
        self._api, self._worker = api, worker

    @asynccontextmanager
    async def listen(self) -> AsyncGenerator[str]:
        """Listen for commands. Yields the path of the socket."""
        with TemporaryDirectory(prefix="mamba-dev-", ignore_cleanup_errors=True) as folder:
            path = str(Path(folder) / "control")
            async with await asyncio.start_unix_server(self._serve, path):
                yield path

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        command = (await reader.readline()).decode(errors="replace").strip()
        writer.write(f"{_DONE if self._execute(command) else _REFUSED}\n".encode())
        writer.close()

    def _execute(self, command: str) -> bool:
        if command == _RESTART_API and self._api:
            self._api.replace(signal.SIGTERM)
            return True
        if self._worker and command == f"{_KILL_WORKER} {self._worker.pid}":
            self._worker.replace(signal.SIGKILL)
            return True
        return False
