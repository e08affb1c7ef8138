"""A client that follows one answer through dropped connections and failing API processes."""

import asyncio
import random
import time
from typing import Any, Literal

import httpx

from tests.chaos.clients.view import AnswerView
from tests.support.sse_client import Stream

Json = dict[str, Any]

#: How long a client waits for the end of an answer.
PATIENCE_SECONDS = 90.0
_RETRY_SECONDS = 0.2


class ChaosClient:
    def __init__(self, http: httpx.AsyncClient, urls: list[str], rng: random.Random) -> None:
        self._http = http
        self._urls = urls
        self._rng = rng
        self._api = rng.randrange(len(urls))
        #: Half of the clients receive stored deltas merged.
        self._params = {"merged": rng.choice(("true", "false"))}

    async def ask(
        self,
        view: AnswerView,
        *,
        drops: list[int],
        loses_response: bool = False,
        reloads: bool = False,
    ) -> None:
        """Send the question, or the response to a tool call, and follow the answer to its end.

        The client drops its connection after each number of events in `drops`, and continues at
        another API process. With `loses_response`, it repeats the request with the same key. With
        `reloads`, it follows the chat as a reloaded page does after its first drop.
        """
        body, key = view.body(), f"key-{self._rng.getrandbits(64):x}"
        if view.waits_for is None:  # the wait in the chat's queue is not an interruption
            view.times.append(time.monotonic())
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                if loses_response:
                    await self._post(view, body, key, drops=[0])
                await self._post(view, body, key, drops=drops)
                if reloads and not view.is_ended and not view.defects:
                    await self._reload(view, drops)
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
            else:
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
        await self._follow(view, url, headers, drops)

    async def _reload(self, view: AnswerView, drops: list[int]) -> None:
        """Follow the chat from its start, until an event comes that is not a replayed one."""
        view.restart()
        while view.is_replaying and not view.defects:
            url = f"{self._url(view)}/chat/{view.question.chat}/stream"
            headers = {"last-event-id": view.cursor} if view.events else {}
            await self._follow(view, url, headers, drops)

    async def _follow(
        self, view: AnswerView, url: str, headers: dict[str, str], drops: list[int]
    ) -> None:
        request = self._http.build_request("GET", url, params=self._params, headers=headers)
        await self._read(view, request, drops)

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
        while not (drops and view.received >= drops[0]):
            events = await stream.read(1)
            if not events:
                return
            if not events[0].id:  # the API ended the response, not the run
                view.defects.append(("lost", events[0].data))
                return
            view.add(events[0])
        drops.pop(0)

    def _url(self, view: AnswerView) -> str:
        url = self._urls[self._api]
        view.apis.add(url)
        return url

    def _use_another_api(self) -> None:
        self._api = (self._api + 1) % len(self._urls)
