"""A raw SSE client of the API that exposes each event and comment."""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple
from urllib.parse import quote

import httpx

Json = dict[str, Any]

DONE = "[DONE]"


class SseEvent(NamedTuple):
    """An event. `id` is `<attempt>-<offset>@<run>`, or empty outside the run's stream."""

    id: str
    data: str
    #: The offset of the first event that was merged into this one; 0 if it is not merged.
    merged_from: int = 0

    @property
    def attempt(self) -> int:
        return int(self.id.partition("-")[0])

    @property
    def offset(self) -> int:
        return int(self.id.partition("@")[0].partition("-")[2])

    @property
    def first_offset(self) -> int:
        return self.merged_from or self.offset

    @property
    def run_id(self) -> str:
        return self.id.partition("@")[2]

    @property
    def chunk(self) -> Json:
        return json.loads(self.data)

    @property
    def is_queue_position(self) -> bool:
        """Whether this is a queue position, which is not part of the run's stream."""
        return not self.id and self.data != DONE and self.chunk["type"] == "data-queue"


class Stream:
    """An open response stream."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self.comments: list[str] = []
        #: The queue positions that were received and not yet read.
        self.queue_positions: list[Json] = []
        self._blocks = _blocks(response)

    @property
    def run_id(self) -> str:
        return self.response.headers["x-run-id"]

    async def read(self, count: int) -> list[SseEvent]:
        """The next events; fewer if the stream ends."""
        events: list[SseEvent] = []
        while len(events) < count and (event := await self._next()) is not None:
            events.append(event)
        return events

    async def until(self, kind: str) -> list[SseEvent]:
        """The events up to and including the first of this type."""
        events: list[SseEvent] = []
        while (event := await self._next()) is not None:
            events.append(event)
            if event.data != DONE and event.chunk["type"] == kind:
                return events
        raise AssertionError(f"no {kind} in {events}")

    async def rest(self) -> list[SseEvent]:
        """All remaining events."""
        return await self.read(1_000_000)

    async def queue_position(self) -> Json:
        """The next queue position. Fails if an event comes first."""
        while not self.queue_positions:
            await self._before_events()
        return self.queue_positions.pop(0)

    async def comment(self) -> str:
        """The next comment. Fails if an event comes first."""
        while not (block := await self._before_events()).startswith(":"):
            pass
        return block

    async def _before_events(self) -> str:
        """The next comment or queue position."""
        block = await anext(self._blocks)
        if (event := _event(block)) is not None:
            assert event.is_queue_position, block
            self.queue_positions.append(event.chunk)
        return block

    async def _next(self) -> SseEvent | None:
        async for block in self._blocks:
            event = _event(block)
            if event is None:
                self.comments.append(block)
            elif event.is_queue_position:
                self.queue_positions.append(event.chunk)
            else:
                return event
        return None


class SseClient:
    """A client for all APIs that never reconnects or retries."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    @asynccontextmanager
    async def ask(
        self,
        chat_url: str,
        chat: str,
        *,
        text: str = "Hi",
        accept: str | None = None,
        **body: Any,
    ) -> AsyncGenerator[Stream]:
        request, headers = _request(chat, text, body), _headers(accept=accept)
        async with self._client.stream("POST", chat_url, json=request, headers=headers) as response:
            yield await _stream(response)

    @asynccontextmanager
    async def follow(
        self,
        chat_url: str,
        chat: str,
        *,
        after: str | None = None,
        accept: str | None = None,
        merged: bool = False,
    ) -> AsyncGenerator[Stream]:
        url, headers = _url(chat_url, chat, "stream"), _headers(last_event_id=after, accept=accept)
        params = {} if merged else {"merged": "false"}
        async with self._client.stream("GET", url, params=params, headers=headers) as response:
            yield await _stream(response)

    async def answer(self, chat_url: str, chat: str, **body: Any) -> list[SseEvent]:
        """Send a message and read the whole answer."""
        async with self.ask(chat_url, chat, **body) as stream:
            return await stream.rest()

    async def replay(
        self,
        chat_url: str,
        chat: str,
        *,
        after: str | None = None,
        accept: str | None = None,
        merged: bool = False,
    ) -> list[SseEvent]:
        """Read the chat's newest run to its end."""
        follow = self.follow(chat_url, chat, after=after, accept=accept, merged=merged)
        async with follow as stream:
            return await stream.rest()

    async def post(self, chat_url: str, chat: str, **body: Any) -> httpx.Response:
        """Send a message and return the whole response."""
        return await self._client.post(chat_url, json=_request(chat, "Hi", body))

    async def get(self, chat_url: str, chat: str, *, after: str | None = None) -> httpx.Response:
        """Follow the chat and return the whole response."""
        headers = _headers(last_event_id=after)
        return await self._client.get(_url(chat_url, chat, "stream"), headers=headers)

    async def stop(self, chat_url: str, chat: str, *, queued: bool = False) -> httpx.Response:
        """Stop the chat's live run; with `queued`, also those that wait for it."""
        params = {"queued": "true"} if queued else {}
        return await self._client.post(_url(chat_url, chat, "stop"), params=params)

    async def status(self, url: str) -> int:
        return (await self._client.get(url)).status_code


@asynccontextmanager
async def open_sse_client() -> AsyncGenerator[SseClient]:
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    async with httpx.AsyncClient(
        timeout=60, limits=limits, verify=False, trust_env=False
    ) as client:
        yield SseClient(client)


def chunks(events: Iterable[SseEvent]) -> list[Json]:
    return [event.chunk for event in events if event.data != DONE]


def joined(chunks: Iterable[Json]) -> list[Json]:
    """Return the chunks, with successive deltas of one part merged."""
    found: list[Json] = []
    for chunk in chunks:
        texts = ("delta", "textDelta", "inputTextDelta")
        name = next((name for name in texts if name in chunk), None)
        if name and found and {**found[-1], name: ""} == {**chunk, name: ""}:
            found[-1] = {**chunk, name: found[-1][name] + chunk[name]}
        else:
            found.append(chunk)
    return found


def merge(events: Sequence[SseEvent]) -> SseEvent:
    """Return what a client that catches up receives for these deltas of one part."""
    [chunk] = joined(chunks(events))
    data = json.dumps(chunk, ensure_ascii=False, separators=(",", ":"))
    return SseEvent(events[-1].id, data, merged_from=events[0].offset)


def are_consecutive(events: Iterable[SseEvent]) -> bool:
    """Whether the events are the first ones of a run, each exactly once."""
    expected = 1
    for event in events:
        if event.first_offset != expected:
            return False
        expected = event.offset + 1
    return True


def types(events: Iterable[SseEvent]) -> list[str]:
    """Return the types of the chunks, without the metadata before `abort` and `error`."""
    return [chunk["type"] for chunk in chunks(events) if chunk["type"] != "message-metadata"]


def text(events: Iterable[SseEvent]) -> str:
    return "".join(c["delta"] for c in chunks(events) if c["type"] == "text-delta")


def message_id(events: Iterable[SseEvent]) -> str:
    [start] = [chunk for chunk in chunks(events) if chunk["type"] == "start"]
    return start["messageId"]


def error_code(events: Iterable[SseEvent]) -> str:
    """The code of the `data-error` chunk that comes with the `error` chunk."""
    return error_detail(events)["code"]


def error_detail(events: Iterable[SseEvent]) -> Json:
    [detail] = [chunk for chunk in chunks(events) if chunk["type"] == "data-error"]
    assert detail["transient"] is True
    return detail["data"]


def check_whole(events: list[SseEvent], *, ending: str = "finish") -> None:
    """Check every rule of the AI SDK for a complete answer."""
    assert are_consecutive(events)
    assert events[-1].data == DONE
    kinds = [chunk["type"] for chunk in chunks(events)]
    assert len(kinds) == len(events) - 1
    assert kinds[0] == "start"
    assert kinds.count("start") == 1
    assert [kind for kind in kinds if kind in ("finish", "error", "abort")] == [ending]
    assert kinds[-1] == ending
    _check_parts(chunks(events))


def _check_parts(answer: Iterable[Json]) -> None:
    open_parts: set[str] = set()
    calls: dict[str, str] = {}
    for chunk in answer:
        kind, _, event = chunk["type"].rpartition("-")
        match kind, event:
            case "text" | "reasoning", "start":
                assert chunk["id"] not in open_parts
                open_parts.add(chunk["id"])
            case "text" | "reasoning", "delta":
                assert chunk["id"] in open_parts
            case "text" | "reasoning", "end":
                open_parts.remove(chunk["id"])
            case "tool-input", "start":
                assert chunk["toolCallId"] not in calls
                calls[chunk["toolCallId"]] = "streaming"
            case "tool-input", "delta":
                assert calls[chunk["toolCallId"]] == "streaming"
            case "tool-input", _:
                assert calls[chunk["toolCallId"]] == "streaming"
                calls[chunk["toolCallId"]] = "called"
            case "tool-output", _:
                assert calls[chunk["toolCallId"]] == "called"
                calls[chunk["toolCallId"]] = "answered"
            case "finish", "step":
                assert not open_parts
            case _:
                pass
    assert not open_parts


async def _stream(response: httpx.Response) -> Stream:
    if response.status_code != 200:
        await response.aread()
    assert response.status_code == 200, f"{response.status_code} {response.text}"
    return Stream(response)


async def _blocks(response: httpx.Response) -> AsyncIterator[str]:
    """The blocks between empty lines. `aiter_lines` would also split at U+2028."""
    partial = b""
    async for piece in response.aiter_bytes():
        *blocks, partial = (partial + piece).split(b"\n\n")
        for block in blocks:
            yield block.decode()
    assert not partial, partial


def _event(block: str) -> SseEvent | None:
    fields = dict(line.split(": ", 1) for line in block.split("\n") if line[:1] != "r")
    if "data" not in fields:
        return None
    merged_from = fields.get("", "").removeprefix("from ")
    return SseEvent(fields.get("id", ""), fields["data"], int(merged_from or 0))


def _headers(**headers: str | None) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items() if value}


def _request(chat: str, text: str, body: Json) -> Json:
    message = {"id": "u1", "role": "user", "parts": [{"type": "text", "text": text}]}
    return {"id": chat, "messages": [message], "trigger": "submit-message", **body}


def _url(chat_url: str, chat: str, action: str) -> str:
    return f"{chat_url}/{quote(chat, safe='')}/{action}"
