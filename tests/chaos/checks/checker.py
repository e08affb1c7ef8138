"""Checks every answer, the logs of the runs, the tools' effects, Redis, and the processes."""

import asyncio
import json
import signal
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from itertools import islice, zip_longest
from typing import Any

import httpx

from shared.redis import keys
from shared.redis.client import Redis
from shared.redis.cluster_client import ClusterClient
from tests.chaos.checks.violation import Violation
from tests.chaos.clients.question import ANSWER_CANARY, PROMPT_CANARY
from tests.chaos.clients.view import AnswerView
from tests.chaos.deployment import EXIT_SECONDS, ChaosDeployment
from tests.support.sse_client import (
    DONE,
    SseEvent,
    Stream,
    are_consecutive,
    chunks,
    joined,
    merge,
    text,
)
from tests.support.upstream.conversation import text_of
from tests.support.wait import until

Json = dict[str, Any]

_TERMINAL = ("finish", "abort", "error")
_CHECKS_AT_ONCE = 8
_UNAVAILABLE_SECONDS = 30.0
_RELEASE_SECONDS = 30.0


def _as_received(stored: Sequence[SseEvent], received: Sequence[SseEvent]) -> list[SseEvent]:
    """Return the stored events, with those merged that the client received merged."""
    found, rest = list[SseEvent](), iter(stored)
    for event in received:
        parts = [*islice(rest, 1 + event.offset - event.first_offset)]
        is_merged = event.merged_from and len(joined(chunks(parts))) == 1
        found += [merge(parts)] if is_merged else parts
    return [*found, *rest]


def check_view(view: AnswerView) -> Iterator[Violation]:
    """Compare what a client saw with the canonical answer."""
    name = f"{view.question.model} ({view.run_id})"
    for kind, detail in view.defects:
        yield Violation(kind, f"{name}: {detail}")
    if not view.is_ended:
        return
    kinds = [event.chunk["type"] for event in view.events[:-1]]
    endings = [kind for kind in kinds if kind in _TERMINAL]
    if len(endings) != 1:
        yield Violation("doubled" if endings else "lost", f"{name}: its ends are {endings}")
        return
    yield from _check_ending(view, name, endings[0])
    yield from _check_continuation(view, name)


def _check_ending(view: AnswerView, name: str, ending: str) -> Iterator[Violation]:
    text, canonical = view.text, view.canonical
    if ending == "error":
        yield Violation("failed", f"{name}: {[e.data for e in view.events[-4:]]}")
    if ending == "finish" and view.is_stopped:
        yield Violation("lost", f"{name}: its stop was acknowledged, but it finished")
    if ending == "abort" and not (view.is_stopped or view.is_superseded):
        yield Violation("lost", f"{name}: it was cancelled without a request")
    if ending == "finish" and len(text) < len(canonical):
        yield Violation("lost", f"{name}: {len(text)} of {len(canonical)} characters")
    elif not canonical.startswith(text):
        kind = "doubled" if len(text) > len(canonical) else "wrong"
        yield Violation(kind, f"{name}: its text is not the canonical answer")


def _check_continuation(view: AnswerView, name: str) -> Iterator[Violation]:
    """A continuing run has the message's id, and a reload repeats what the message has so far."""
    if view.continues is None:
        return
    if view.message()["id"] != view.continues.message()["id"]:
        yield Violation("wrong", f"{name}: it continues another message")
    if view.replayed and not _has_parts(view.replayed, view.continues):
        yield Violation("wrong", f"{name}: a reload lacks parts of the message")


def _has_parts(events: Sequence[SseEvent], continued: AnswerView) -> bool:
    """Return whether events contain the text and the tool call of a continued run."""
    calls = [c["toolCallId"] for c in chunks(events) if c["type"] == "tool-input-start"]
    return text(events) == continued.text and calls == [continued.question.call_id]


async def _for_each(
    views: Sequence[AnswerView], check: Callable[[AnswerView], Awaitable[None]]
) -> None:
    """Check all views, several at a time."""
    slots = asyncio.Semaphore(_CHECKS_AT_ONCE)

    async def check_one(view: AnswerView) -> None:
        async with slots:
            await check(view)

    await asyncio.gather(*map(check_one, views))


async def _is_empty(redis: Redis) -> bool:
    """Whether no run is in the queue."""
    return await redis.execute_command("ZCARD", keys.QUEUE) == 0


class Checker:
    """Checks a deployment after the last fault, when all clients have ended."""

    def __init__(
        self,
        deployment: ChaosDeployment,
        http: httpx.AsyncClient,
        views: Sequence[AnswerView],
        probes: Sequence[AnswerView],
    ) -> None:
        self._deployment = deployment
        self._http = http
        self._views = views
        #: Answers after the last fault, which other checks requested.
        self._probes = probes
        self._accepted = [view for view in views if view.run_id]
        self._found: list[Violation] = []
        #: Calls of tools that a later attempt made again, with the same key.
        self.repeated_calls = 0

    async def violations(self) -> list[Violation]:
        for view in self._views:
            self._found += check_view(view)
        runs = self._deployment.storage.runs_client()
        try:
            await _for_each(self._accepted, partial(self._check_run, runs))
        finally:
            await runs.aclose()
        await _for_each(self._accepted, self._check_history)
        newest = {view.question.chat: view for view in self._accepted}
        await _for_each([*newest.values()], self._check_message)
        await self._check_redis()
        self._check_effects()
        await self._check_exits()
        self._check_logs()
        return self._found

    def _add(self, kind: str, detail: str) -> None:
        self._found.append(Violation(kind, detail))

    async def _check_run(self, redis: Redis | ClusterClient, view: AnswerView) -> None:
        """Compare a view with the run's stream, and with its replay at each API process."""
        entries = await redis.execute_command("XRANGE", keys.stream(view.run_id), "-", "+")
        stored = [
            SseEvent(f"{entry_id.decode()}@{view.run_id}", fields[b"d"].decode())
            for entry_id, fields in entries
            if not entry_id.endswith(b"-0")
        ]
        expected = _as_received(stored, view.events)
        if view.is_ended and expected != view.events:
            pairs = zip_longest(view.events, expected)
            seen, kept = next(pair for pair in pairs if pair[0] != pair[1])
            ids = f"{seen.id if seen else None} and {kept.id if kept else None}"
            self._add("wrong", f"{view.question.model}: the view differs from the stream: {ids}")
        if not stored or stored[-1].data != DONE:
            self._add("hung", f"{view.question.model}: its stream has no end")
            return
        for url in self._deployment.urls:
            merged = await self._replay(url, view, merged="true")
            is_right = are_consecutive(merged) and merged == _as_received(stored, merged)
            if not is_right or await self._replay(url, view, merged="false") != stored:
                self._add("wrong", f"{view.question.model}: the replay differs from the stream")

    async def _check_message(self, view: AnswerView) -> None:
        """Compare the newest message of a chat with a reload, and with the stored message."""
        for url in self._deployment.urls:
            events = await self._follow(url, view)
            if text(events) != view.message_text or events[-1:] != view.events[-1:]:
                self._add("wrong", f"{view.question.model}: a reload does not show the message")
            response = await self._get(f"{url}/chat/{view.question.chat}/message")
            parts: list[Json] = response.json()["parts"] if response.status_code == 200 else []
            stored = "".join(part.get("text", "") for part in parts)
            if stored != view.message_text:
                self._add("wrong", f"{view.question.model}: the stored message is not the answer")

    async def _replay(self, url: str, view: AnswerView, *, merged: str) -> list[SseEvent]:
        headers = {"last-event-id": f"0-0@{view.run_id}"}
        return await self._follow(url, view, headers=headers, params={"merged": merged})

    async def _follow(self, url: str, view: AnswerView, **request: Any) -> list[SseEvent]:
        url = f"{url}/chat/{view.question.chat}/stream"
        response = await self._get(url, **request)
        return await Stream(response).rest() if response.status_code == 200 else []

    async def _get(self, url: str, **request: Any) -> httpx.Response:
        """Repeat a request while the response is 503: on a busy machine, Valkey may be too slow."""
        deadline = time.monotonic() + _UNAVAILABLE_SECONDS
        while True:
            response = await self._http.get(url, **request)
            if response.status_code != 503 or time.monotonic() > deadline:
                return response
            await asyncio.sleep(0.2)

    async def _check_redis(self) -> None:
        """Each key must expire, and nothing of an ended run may remain in the queue."""
        for name in await self._deployment.storage.names_without_ttl():
            self._add("redis", f"{name.decode()} has no TTL")
        redis = self._deployment.storage.client()
        try:
            with suppress(TimeoutError):  # a worker releases a job after the end of its stream
                await until(partial(_is_empty, redis), seconds=_RELEASE_SECONDS)
            for name in await redis.execute_command("KEYS", keys.lease("*")):
                self._add("redis", f"{name.decode()} is a lease of an ended run")
            if waiting := await redis.execute_command("ZCARD", keys.QUEUE):
                self._add("redis", f"{waiting} jobs remain in the queue")
        finally:
            await redis.aclose()
        self._check_runs(await self._deployment.storage.run_names())

    def _check_runs(self, names: Sequence[bytes]) -> None:
        """Each run that has a stream must be one that a client has seen.

        A run without a stream has never started: it was stored, but its request was refused.
        """
        known = {keys.stream(view.run_id) for view in (*self._accepted, *self._probes)}
        streams = {name.decode() for name in names if name.endswith(b":stream")}
        for name in streams - known:
            self._add("doubled", f"{name} belongs to no client")

    async def _check_history(self, view: AnswerView) -> None:
        """Each request to the model must contain the earlier messages of the chat."""
        question, is_informed = view.question, False
        expected = view.earlier_texts()
        for request in await self._deployment.upstream.requests(question.model):
            # The worker may merge consecutive messages of one role.
            sent = "\n".join(text_of(message) for message in request["body"]["messages"])
            positions = [sent.find(text) for text in expected]
            if -1 in positions or positions != sorted(positions):
                found = f"positions of the earlier texts: {positions}"
                self._add("history", f"{question.model}: the history is incomplete; {found}")
            if question.result in sent:
                is_informed = True
        if view.continues and question.response == "result" and view.text and not is_informed:
            self._add("history", f"{question.model}: the client's result is missing")

    def _check_effects(self) -> None:
        """Each call must have one key, and must be stored before its effect."""
        stored: set[str] = set()
        denied = {view.question.call_id for view in self._views if view.question.response == "deny"}
        for view in self._accepted:
            if view.question.response != "result":
                results = [c for c in chunks(view.events) if c["type"] == "tool-output-available"]
                stored |= {chunk["toolCallId"] for chunk in results}
        found: defaultdict[str, list[str]] = defaultdict(list)
        for line in self._deployment.effects.read_text().splitlines():
            effect = json.loads(line)
            found[effect["call"]].append(effect["key"])
        for call, used in found.items():
            self.repeated_calls += len(used) - 1
            if len(set(used)) > 1:
                self._add("tool", f"{call} took effect with the keys {sorted(set(used))}")
        for call in stored - found.keys():
            self._add("tool", f"{call} has a result but no effect")
        for call in denied & found.keys():
            self._add("tool", f"{call} took effect but was denied")

    async def _check_exits(self) -> None:
        """Each process must end after SIGTERM."""
        for member in self._deployment.members:
            member.is_stopping = True
            member.send(signal.SIGTERM)
            if member.killed_after_term:
                detail = f"{member.name} ran on after SIGTERM {member.killed_after_term} times"
                self._add("zombie", detail)
        for member in self._deployment.members:
            try:
                await member.process.ended(seconds=EXIT_SECONDS)
            except TimeoutError:
                self._add("zombie", f"{member.name} did not end after the last SIGTERM")

    def _check_logs(self) -> None:
        for name, output in self._deployment.logs().items():
            for line in output.splitlines():
                if PROMPT_CANARY in line or ANSWER_CANARY.search(line):
                    self._add("log", f"{name} logged text of a user: {line[:200]}")
