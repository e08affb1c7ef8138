"""A client that follows one answer through dropped connections and failing API processes."""

import asyncio
import random
import time
from dataclasses import dataclass, field
from typing import Any, Literal

import httpx

from tests.chaos.faults import InjectedFault
from tests.chaos.question import Question
from tests.support.sse_client import DONE, SseEvent, Stream, text

Json = dict[str, Any]

#: How long a client waits for the end of an answer.
PATIENCE_SECONDS = 90.0
_RETRY_SECONDS = 0.2


@dataclass
class AnswerView:
    """What one client has received of one run."""

    question: Question
    supersedes: bool = False
    #: The messages before the question.
    history: list[Json] = field(default_factory=list[Json])
    run_id: str = ""
    events: list[SseEvent] = field(default_factory=list[SseEvent])
    #: When the question was first sent, each event was received, and the client finished.
    times: list[float] = field(default_factory=list[float])
    #: The URLs of the API processes that the client has used.
    apis: set[str] = field(default_factory=set[str])
    connections: int = 0
    #: Whether the response to a stop request says that the run was cancelled.
    is_stopped: bool = False
    #: Whether a question that supersedes it was accepted.
    is_superseded: bool = False
    #: What the server did wrong as this client saw it, by kind.
    defects: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    #: The fault that the model's first response has.
    model_fault: InjectedFault | None = None

    @property
    def cursor(self) -> str:
        return self.events[-1].id if self.events else f"0-0@{self.run_id}"

    @property
    def is_ended(self) -> bool:
        return bool(self.events) and self.events[-1].data == DONE

    @property
    def text(self) -> str:
        return text(self.events)

    def message(self) -> Json:
        """The assistant's message for the history of the next question."""
        message_id = self.events[0].chunk["messageId"] if self.events else "none"
        parts = [{"type": "text", "text": self.text}]
        return {"id": message_id, "role": "assistant", "parts": parts}


class ChaosClient:
    def __init__(self, http: httpx.AsyncClient, urls: list[str], rng: random.Random) -> None:
        self._http = http
        self._urls = urls
        self._rng = rng
        self._api = rng.randrange(len(urls))

    async def ask(
        self,
        view: AnswerView,
        history: list[Json],
        *,
        drops: list[int],
        loses_response: bool = False,
    ) -> None:
        """Send the question and follow the answer to its end.

        The client drops its connection after each number of events in `drops`, and continues at
        another API process. With `loses_response`, it repeats the question with the same key.
        """
        view.history = history
        body = view.question.body(history, supersede=view.supersedes)
        key = f"key-{self._rng.getrandbits(64):x}"
        view.times.append(time.monotonic())
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                if loses_response:
                    await self._post(view, body, key, drops=[0])
                await self._post(view, body, key, drops=drops)
                while not view.is_ended and not view.defects:
                    await self._resume(view, drops)
        except TimeoutError:
            view.defects.append(("hung", f"no end after {len(view.events)} events"))
        view.times.append(time.monotonic())

    async def stop(self, view: AnswerView) -> None:
        """Stop the run, and repeat the request until the API accepts it."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            try:
                url = f"{self._url(view)}/chat/{view.question.chat}/stop"
                response = await self._http.post(url)
            except httpx.TransportError:
                self._use_another_api()
                continue
            if response.status_code == 200:
                view.is_stopped |= response.json()["state"] == "cancelled"
                return
            if response.status_code != 503:
                view.defects.append(("failed", f"stop returned {response.text}"))
                return
            await asyncio.sleep(_RETRY_SECONDS)
        view.defects.append(("hung", "no stop was accepted"))

    async def _post(self, view: AnswerView, body: Json, key: str, drops: list[int]) -> None:
        """Send the question until the API accepts or refuses it."""
        while True:
            url, headers = f"{self._url(view)}/chat", {"idempotency-key": key}
            request = self._http.build_request("POST", url, json=body, headers=headers)
            if await self._read(view, request, drops) in ("read", "refused"):
                return

    async def _resume(self, view: AnswerView, drops: list[int]) -> None:
        """Follow the run from the last event."""
        url = f"{self._url(view)}/chat/{view.question.chat}/stream"
        headers = {"last-event-id": view.cursor}
        await self._read(view, self._http.build_request("GET", url, headers=headers), drops)

    async def _read(
        self, view: AnswerView, request: httpx.Request, drops: list[int]
    ) -> Literal["read", "unavailable", "refused"]:
        try:
            response = await self._http.send(request, stream=True)
        except httpx.TransportError:
            self._use_another_api()
            await asyncio.sleep(_RETRY_SECONDS)
            return "unavailable"
        view.connections += 1
        try:
            if response.status_code == 200:
                await self._read_events(view, Stream(response), drops)
                return "read"
            problem = (await response.aread()).decode()
        except (httpx.TransportError, AssertionError):  # the connection was lost in a block
            return "read" if response.status_code == 200 else "unavailable"
        finally:
            await response.aclose()
            self._use_another_api()
        if response.status_code == 503:
            await asyncio.sleep(_RETRY_SECONDS)
            return "unavailable"
        defect = f"{request.method} {response.status_code} at {view.cursor}: {problem}"
        view.defects.append(("lost" if request.method == "GET" else "failed", defect))
        return "refused"

    async def _read_events(self, view: AnswerView, stream: Stream, drops: list[int]) -> None:
        if view.run_id and stream.run_id != view.run_id:
            view.defects.append(("doubled", f"the run is {stream.run_id}, not {view.run_id}"))
        view.run_id = stream.run_id
        while not (drops and len(view.events) >= drops[0]):
            events = await stream.read(1)
            if not events:
                return
            if not events[0].id:  # the API ended the response, not the run
                view.defects.append(("lost", events[0].data))
                return
            add_event(view, events[0])
        drops.pop(0)

    def _url(self, view: AnswerView) -> str:
        url = self._urls[self._api]
        view.apis.add(url)
        return url

    def _use_another_api(self) -> None:
        self._api = (self._api + 1) % len(self._urls)


def add_event(view: AnswerView, event: SseEvent) -> None:
    expected = view.events[-1].offset + 1 if view.events else 1
    if event.offset != expected:
        kind = "doubled" if event.offset < expected else "lost"
        view.defects.append((kind, f"event {event.id} came instead of offset {expected}"))
    view.events.append(event)
    view.times.append(time.monotonic())
