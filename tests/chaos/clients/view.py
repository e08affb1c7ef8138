"""What a client has received of a run."""

import time
from dataclasses import dataclass, field
from typing import Any

from tests.chaos.clients.question import Question, WhenBusy
from tests.chaos.faults import InjectedFault
from tests.support.sse_client import DONE, SseEvent, chunks, text

Json = dict[str, Any]


@dataclass
class AnswerView:
    """What one client has received of one run."""

    question: Question
    when_busy: WhenBusy = "reject"
    #: The view of the run whose tool call the client has responded to.
    continues: "AnswerView | None" = None
    #: The view of the run that the chat's queue has before this one.
    waits_for: "AnswerView | None" = None
    #: The messages before the question, as the client sent them.
    history: list[Json] = field(default_factory=list[Json])
    run_id: str = ""
    events: list[SseEvent] = field(default_factory=list[SseEvent])
    #: The events of the continued run that a reload received, and whether more may follow.
    replayed: list[SseEvent] = field(default_factory=list[SseEvent])
    is_replaying: bool = False
    _last_id: str = ""
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
        """The ID of the last event, as it was received."""
        return self._last_id or f"0-0@{self.run_id}"

    @property
    def is_ended(self) -> bool:
        return bool(self.events) and self.events[-1].data == DONE

    @property
    def awaits_response(self) -> bool:
        """Whether the run has ended with a tool call that the client must respond to."""
        is_last = self.question.is_continued and self.continues is None
        return is_last and self.is_ended and self.events[-2].chunk["type"] == "finish"

    @property
    def received(self) -> int:
        return len(self.events) + len(self.replayed)

    @property
    def text(self) -> str:
        return text(self.events)

    @property
    def canonical(self) -> str:
        """The whole text of the run."""
        return self.question.texts[0 if self.continues is None else 1]

    @property
    def message_text(self) -> str:
        """The text of the message, which the continued run has begun."""
        return (self.continues.text if self.continues else "") + self.text

    def body(self) -> Json:
        """The body of the request that starts the run."""
        messages = [*self.history, *self.question.messages()]
        if self.continues:
            messages.append(self.continues.message(self.question.response_part()))
        return self.question.body(messages, self.when_busy)

    def messages(self) -> list[Json]:
        """The chat up to and including this answer, as the client has it in the end."""
        before = self.waits_for.messages() if self.waits_for else self.history
        return [*before, *self.question.messages(), self.message()]

    def messages_so_far(self) -> list[Json]:
        """The chat as the client sends it with another question during this answer."""
        answer = [self.message()] if self.events else []
        return [*self.history, *self.question.messages(), *answer]

    def earlier_texts(self) -> list[str]:
        """The texts that each request to the model must contain, in order.

        The server adds what a run that waited did not know: the rest of the answers before it.
        """
        if self.continues:
            return self.continues.earlier_texts()
        if self.waits_for:
            earlier = self.waits_for
            return [*earlier.earlier_texts(), earlier.question.prompt, *earlier._texts_of_parts()]
        parts = [part for message in self.history for part in message["parts"]]
        return [part["text"] for part in parts if part.get("text")]

    def _texts_of_parts(self) -> list[str]:
        deltas = [chunk for chunk in chunks(self.events) if chunk["type"] == "text-delta"]
        texts = dict.fromkeys((chunk["id"] for chunk in deltas), "")
        for chunk in deltas:
            texts[chunk["id"]] += chunk["delta"]
        return [*texts.values()]

    def message(self, *more: Json) -> Json:
        """The assistant's message, as the client has it, and more parts."""
        message_id = self.events[0].chunk["messageId"] if self.events else "none"
        parts = [*self._parts(), *more]
        return {"id": message_id, "role": "assistant", "parts": parts}

    def _parts(self) -> list[Json]:
        own = {"type": "text", "text": self.text}
        if self.continues is None:
            return [own]
        return [*self.continues._parts(), self._tool_part(), own]

    def _tool_part(self) -> Json:
        for chunk in chunks(self.events):
            if chunk["type"] == "tool-output-available":
                return self.question.tool_part("output-available", output=chunk["output"])
            if chunk["type"] == "tool-output-denied":
                return self.question.tool_part("output-denied")
        return self.question.response_part()

    def restart(self) -> None:
        """Drop all events: the client reloads its page."""
        self.events.clear()
        self.replayed.clear()
        self.is_replaying = True
        self._last_id = ""

    def add(self, event: SseEvent) -> None:
        self.times.append(time.monotonic())
        self._last_id = event.id
        cursor, _, source = event.id.partition("/")
        event = event._replace(id=cursor)
        if source not in ("", self.run_id):
            self.replayed.append(event)
            return
        self.is_replaying = self.is_replaying and not self.events
        expected = self.events[-1].offset + 1 if self.events else 1
        if event.first_offset != expected:
            kind = "doubled" if event.first_offset < expected else "lost"
            self.defects.append((kind, f"event {event.id} came instead of offset {expected}"))
        self.events.append(event)
