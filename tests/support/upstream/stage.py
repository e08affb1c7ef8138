"""The scripts the server plays and the requests it got."""

from collections import defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from tests.support.upstream.script import ResponseScript, ScriptedFailure
from tests.support.upstream.turn import Turn

Outcome = Literal["open", "finished", "cut", "refused", "client-closed"]


@dataclass(slots=True)
class Received:
    body: dict[str, Any]
    outcome: Outcome = "open"
    sent: int = 0
    #: The names of its headers.
    headers: list[str] = field(default_factory=list[str])


class Play:
    """A script on its way: its failures are used up, its waits are opened one by one."""

    def __init__(self, script: ResponseScript) -> None:
        self._turns = [Turn.of(actions) for actions in script.turns]
        self._failures = deque(script.failures)
        self.quirks = script.quirks
        self._closed = deque(hold for turn in self._turns for hold in turn.holds)

    def turn(self, number: int) -> Turn:
        return self._turns[min(number, len(self._turns) - 1)]

    def failure(self) -> ScriptedFailure:
        return self._failures.popleft() if self._failures else ScriptedFailure()

    def release(self) -> None:
        if self._closed:
            self._closed.popleft().released.set()


class Stage:
    def __init__(self) -> None:
        self.plays: dict[str, Play] = {}
        self.requests: defaultdict[str, list[Received]] = defaultdict(list)

    def receive(self, body: dict[str, Any], headers: Iterable[str]) -> Received:
        received = Received(body, headers=list(headers))
        self.requests[body["model"]].append(received)
        return received

    def clear(self) -> None:
        self.plays.clear()
        self.requests.clear()
