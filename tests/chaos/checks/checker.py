"""Checks every answer, the logs of the runs, the tools' effects, Redis, and the processes."""

import json
import signal
from collections import defaultdict
from collections.abc import Iterator, Sequence

import httpx

from shared.redis import keys
from shared.redis.client import Redis
from tests.chaos.checks.violation import Violation
from tests.chaos.client import AnswerView
from tests.chaos.deployment import EXIT_SECONDS, ChaosDeployment
from tests.chaos.question import ANSWER_CANARY, PROMPT_CANARY
from tests.support.sse_client import DONE, SseEvent, Stream
from tests.support.upstream.conversation import text_of

_TERMINAL = ("finish", "abort", "error")


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


def _check_ending(view: AnswerView, name: str, ending: str) -> Iterator[Violation]:
    text, canonical = view.text, view.question.canonical
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


class Checker:
    """Checks a deployment after the last fault, when all clients have ended."""

    def __init__(
        self, deployment: ChaosDeployment, http: httpx.AsyncClient, views: Sequence[AnswerView]
    ) -> None:
        self._deployment = deployment
        self._http = http
        self._views = views
        self._accepted = [view for view in views if view.run_id]
        self._found: list[Violation] = []
        #: Calls of tools that a later attempt made again, with the same key.
        self.repeated_calls = 0

    async def violations(self) -> list[Violation]:
        for view in self._views:
            self._found += check_view(view)
        redis = self._deployment.valkey.client()
        try:
            for view in self._accepted:
                await self._check_run(redis, view)
                await self._check_history(view)
            await self._check_redis(redis)
        finally:
            await redis.aclose()
        self._check_effects()
        await self._check_exits()
        self._check_logs()
        return self._found

    def _add(self, kind: str, detail: str) -> None:
        self._found.append(Violation(kind, detail))

    async def _check_run(self, redis: Redis, view: AnswerView) -> None:
        """Compare a view with the run's stream, and with its replay at each API process."""
        entries = await redis.execute_command("XRANGE", keys.stream(view.run_id), "-", "+")
        stored = [
            SseEvent(f"{entry_id.decode()}@{view.run_id}", fields[b"d"].decode())
            for entry_id, fields in entries
            if not entry_id.endswith(b"-0")
        ]
        if view.is_ended and stored != view.events:
            self._add("wrong", f"{view.question.model}: the view differs from the stream")
        if not stored or stored[-1].data != DONE:
            self._add("hung", f"{view.question.model}: its stream has no end")
            return
        for url in self._deployment.urls:
            if await self._replay(url, view) != stored:
                self._add("wrong", f"{view.question.model}: the replay differs from the stream")

    async def _replay(self, url: str, view: AnswerView) -> list[SseEvent]:
        url, headers = (
            f"{url}/chat/{view.question.chat}/stream",
            {"last-event-id": f"0-0@{view.run_id}"},
        )
        async with self._http.stream("GET", url, headers=headers) as response:
            return await Stream(response).rest() if response.status_code == 200 else []

    async def _check_redis(self, redis: Redis) -> None:
        """Each key must expire, and nothing of an ended run may remain in the queue."""
        names: list[bytes] = await redis.execute_command("KEYS", "*")
        for name in names:
            if await redis.execute_command("PTTL", name) == -1:
                self._add("redis", f"{name.decode()} has no TTL")
            if name.startswith(keys.lease("").encode()):
                self._add("redis", f"{name.decode()} is a lease of an ended run")
        if waiting := await redis.execute_command("ZCARD", keys.QUEUE):
            self._add("redis", f"{waiting} jobs remain in the queue")

    async def _check_history(self, view: AnswerView) -> None:
        """Each request to the model must contain the earlier messages of the chat."""
        question = view.question
        parts = [part for message in view.history for part in message["parts"]]
        expected = [part["text"] for part in parts if part["text"]]
        for request in await self._deployment.upstream.requests(question.model):
            # The worker may merge consecutive messages of one role.
            sent = "\n".join(text_of(message) for message in request["body"]["messages"])
            positions = [sent.find(text) for text in expected]
            if -1 in positions or positions != sorted(positions):
                self._add("history", f"{question.model}: the history is incomplete")

    def _check_effects(self) -> None:
        """Each call must have one key, and must be stored before its effect."""
        stored = {
            (view.run_id, chunk["toolCallId"])
            for view in self._accepted
            for event in view.events
            if event.data != DONE and (chunk := event.chunk)["type"] == "tool-output-available"
        }
        found: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
        for line in self._deployment.effects.read_text().splitlines():
            effect = json.loads(line)
            found[effect["run"], effect["call"]].append(effect["key"])
        for call, used in found.items():
            self.repeated_calls += len(used) - 1
            if len(set(used)) > 1:
                self._add("tool", f"{call} took effect with the keys {sorted(set(used))}")
        for call in stored - found.keys():
            self._add("tool", f"{call} has a result but no effect")

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
