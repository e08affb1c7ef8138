"""The active scripts and the received requests."""

from collections import defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from tests.support.upstream.response_steps import ResponseSteps
from tests.support.upstream.script import ResponseScript, ScriptedFailure

Outcome = Literal["open", "finished", "cut", "refused", "client-closed"]


@dataclass(slots=True)
class RequestRecord:
    body: dict[str, Any]
    outcome: Outcome = "open"
    sent: int = 0
    #: Header names.
    headers: list[str] = field(default_factory=list[str])


class ActiveScript:
    """A script in progress: failures are consumed and waits are opened one by one."""

    def __init__(self, script: ResponseScript) -> None:
        self._responses = [ResponseSteps.of(actions) for actions in script.responses]
        self._failures = deque(script.failures)
        self.quirks = script.quirks
        self.rules = script.rules
        self._closed = deque(hold for response in self._responses for hold in response.holds)

    def response(self, index: int) -> ResponseSteps:
        return self._responses[min(index, len(self._responses) - 1)]

    def next_failure(self) -> ScriptedFailure:
        return self._failures.popleft() if self._failures else ScriptedFailure()

    def release(self) -> None:
        if self._closed:
            self._closed.popleft().released.set()


class ServerState:
    def __init__(self) -> None:
        self.scripts: dict[str, ActiveScript] = {}
        self.requests: defaultdict[str, list[RequestRecord]] = defaultdict(list)

    def receive(self, body: dict[str, Any], headers: Iterable[str]) -> RequestRecord:
        received = RequestRecord(body, headers=list(headers))
        self.requests[body["model"]].append(received)
        return received

    def clear(self) -> None:
        self.scripts.clear()
        self.requests.clear()
