"""The real AI SDK client, driven from Python."""

import asyncio
import itertools
import json
import subprocess
import threading
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Literal, Self, TypedDict, Unpack, get_args

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from web.client import build_client
from web.node import find_node

FOLDER = Path(__file__).parent

Version = Literal["5", "6", "7"]
VERSIONS: tuple[Version, ...] = get_args(Version)
Json = dict[str, Any]


class Options(TypedDict, total=False):
    messages: list[Json]
    """Messages that the page starts with."""
    body: Json
    headers: dict[str, str]
    cut_after: int
    """Break the first stream after this many chunks."""
    cuts: list[int]
    """The same for the first stream, the second, and so on."""
    on_cut: Literal["reconnect", "reload", "none"]
    """What happens after a cut; the default is "none"."""
    resume_api: str
    """The API from which the stream is resumed."""
    resilient: bool
    """Whether the SDK uses `resilientFetch` of clients/js."""
    mamba: bool
    """Whether the SDK uses `MambaChatTransport` of clients/js."""
    priority: Literal["interactive", "background"]
    """The option of `MambaChatTransport`."""
    then: list[Json]
    """Actions after the first one, with their `op`: `send`, `regenerate` or `resume`."""
    meanwhile: Json
    """An action `after` this many chunks, counted over all streams."""
    lost_responses: int
    """How many responses do not reach the client, beginning with the first one."""
    lost_resumes: int
    """How often a resume requests a chat that does not exist."""
    stop_after: int
    """Stop after this many chunks, counted over all streams."""
    stop_at: str
    """Stop after the first chunk of this type."""
    mid_answer: list[str]
    """Texts to send while the first answer is streaming, without waiting for it."""
    release_url: str
    """Posted to after the last of these texts has been sent."""
    timeout_ms: int


class ClientError(BaseModel):
    name: str
    message: str


class Request(BaseModel):
    """An HTTP request. `done` is true if its response ended with `[DONE]`."""

    method: str
    url: str
    body: Json | None
    headers: dict[str, str]
    status: int | None
    done: bool


class FinishCall(BaseModel):
    """The arguments of an `onFinish` call."""

    model_config = ConfigDict(alias_generator=to_camel)

    is_abort: bool
    is_disconnect: bool
    is_error: bool
    finish_reason: str | None = None


class Result(BaseModel):
    """The final state of the chat, and its HTTP traffic.

    `chunks[n]` are the chunks received for `requests[n]`; stop requests are included.
    """

    model_config = ConfigDict(frozen=True)

    status: str
    error: ClientError | None
    text: str
    message: Json | None
    messages: list[Json]
    chunks: list[list[Json]]
    requests: list[Request]
    finishes: list[FinishCall]
    #: The arguments of the `onData` calls.
    data: list[Json]
    no_active_stream: bool


class AiClient:
    """One Node.js process for any number of chats at once, usable from any event loop."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._pending: dict[int, Future[Json]] = {}
        self._writing = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None

    async def send(
        self,
        *,
        ai: Version,
        api: str,
        chat: str,
        text: str,
        message_id: str | None = None,
        **options: Unpack[Options],
    ) -> Result:
        """Send a message. With `message_id`, it replaces that message and all after it."""
        target = {"message_id": message_id} if message_id else {}
        return await self._run(op="send", ai=ai, api=api, chat=chat, text=text, **target, **options)

    async def resume(
        self, *, ai: Version, api: str, chat: str, **options: Unpack[Options]
    ) -> Result:
        """Open a page whose answer may still be streaming."""
        return await self._run(op="resume", ai=ai, api=api, chat=chat, **options)

    async def answer(
        self,
        *,
        ai: Version,
        api: str,
        chat: str,
        answers: dict[str, Json],
        **options: Unpack[Options],
    ) -> Result:
        """Respond to pending calls, with `{approved, reason}`, `{output}` or `{error}` per call."""
        return await self._run(op="answer", ai=ai, api=api, chat=chat, answers=answers, **options)

    async def regenerate(
        self,
        *,
        ai: Version,
        api: str,
        chat: str,
        message_id: str | None = None,
        **options: Unpack[Options],
    ) -> Result:
        target = {"message_id": message_id} if message_id else {}
        return await self._run(op="regenerate", ai=ai, api=api, chat=chat, **target, **options)

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
        node = find_node()
        node.install(FOLDER)
        build_client()
        command = [node.path, FOLDER / "drive.mjs"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._reader = threading.Thread(target=self._read, args=[self._process.stdout], daemon=True)
        self._reader.start()

    def stop(self) -> None:
        """End the process by closing its input."""
        if self._process is None or self._reader is None:
            return
        with self._process as process:
            assert process.stdin
            process.stdin.close()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
            self._reader.join()

    async def _run(self, **command: Any) -> Result:
        number = next(self._numbers)
        answer = self._pending[number] = Future[Json]()
        self._write({**command, "id": number})
        result = await asyncio.wrap_future(answer)
        if failure := result.get("failure"):
            raise RuntimeError(failure)
        return Result.model_validate(result)

    def _write(self, command: Json) -> None:
        if self._process is None or self._process.stdin is None:
            raise RuntimeError("the AI client is not running")
        with self._writing:
            self._process.stdin.write(json.dumps(command).encode() + b"\n")
            self._process.stdin.flush()

    def _read(self, lines: IO[bytes]) -> None:
        for line in lines:
            result = json.loads(line)
            answer = self._pending.pop(result["id"])
            if answer.set_running_or_notify_cancel():
                answer.set_result(result)
        for number, answer in self._pending.items():
            if answer.set_running_or_notify_cancel():
                answer.set_result({"id": number, "failure": "the AI client's process has ended"})
