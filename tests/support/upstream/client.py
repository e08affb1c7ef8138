"""Starts the scripted server in its own process and controls it."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TypedDict

import httpx

from tests.support.upstream.quirks import Quirk
from tests.support.upstream.rules import Rule

ROOT = Path(__file__).parents[3]


def sse_body(*chunks: object, done: bool = True) -> str:
    """Return the text of a stream of these chunks. Without `done`, it breaks off after them."""
    events = [json.dumps(chunk) for chunk in chunks] + ["[DONE]"] * done
    return "".join(f"data: {event}\n\n" for event in events)


class ReceivedRequest(TypedDict):
    """A request that the server received; `sent` counts the text pieces of its response."""

    body: dict[str, Any]
    outcome: Literal["open", "finished", "cut", "refused", "client-closed"]
    sent: int
    #: Header names.
    headers: list[str]


class Upstream:
    """The scripted server. Usable from any event loop."""

    def __init__(self, port: int = 0) -> None:
        self.port = port
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def base_url(self) -> str:
        """The base URL for an OpenAI client."""
        return f"{self.url}/v1"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def script(
        self,
        name: str,
        responses: Sequence[Sequence[dict[str, Any]]],
        failures: Sequence[dict[str, Any]] = (),
        quirks: Sequence[Quirk] = (),
        rules: Sequence[Rule] = (),
    ) -> None:
        """Replace the script of the model `name`; its recorded requests are kept."""
        script = {"responses": responses, "failures": failures, "quirks": quirks, "rules": rules}
        await self._call("PUT", f"/scripts/{name}", script)

    async def requests(self, name: str) -> list[ReceivedRequest]:
        return await self._call("GET", f"/requests/{name}")

    async def until(
        self, name: str, accept: Callable[[list[ReceivedRequest]], bool], timeout: float = 30.0
    ) -> list[ReceivedRequest]:
        """Wait until `accept` returns true for the model's requests, and return them."""
        async with asyncio.timeout(timeout):
            while True:
                if accept(requests := await self.requests(name)):
                    return requests
                await asyncio.sleep(0.01)

    async def release(self, name: str) -> None:
        """Open the next wait of the script, permanently and for all requests."""
        await self._call("POST", f"/release/{name}")

    async def clear(self) -> None:
        await self._call("DELETE", "/scripts")

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self.start)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await asyncio.to_thread(self.stop)

    def start(self) -> None:
        command = [sys.executable, "-m", "tests.support.upstream", "--port", str(self.port)]
        self._process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the upstream exited at once with status {self._process.wait()}")
        self.port = json.loads(line)["port"]

    def stop(self) -> None:
        if self._process is None:
            return
        with self._process as process:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()

    async def _call(self, method: str, path: str, body: Any = None) -> Any:
        async with httpx.AsyncClient(
            base_url=self.url, timeout=60, verify=False, trust_env=False
        ) as client:
            response = await client.request(method, path, json=body)
        if response.is_error:
            raise RuntimeError(f"{method} {path}: {response.status_code} {response.text}")
        return response.json() if response.content else None
