"""What a run's log says so far, folded: the steps, their parts, and what is still open.

A new attempt goes on from it, and whoever closes a run ends the open parts by it.
"""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import ValidationError

from shared.events import (
    DONE,
    FinishStep,
    ReasoningDelta,
    ReasoningEnd,
    ReasoningStart,
    StartStep,
    StreamEvent,
    TextDelta,
    TextEnd,
    TextStart,
    ToolInputAvailable,
    ToolInputDelta,
    ToolInputError,
    ToolInputStart,
    ToolOutputAvailable,
    ToolOutputError,
    decode,
)
from shared.stream import Entry


@dataclass(slots=True)
class Text:
    id: str
    text: str = ""
    open: bool = True


@dataclass(slots=True)
class Reasoning:
    id: str
    text: str = ""
    open: bool = True


@dataclass(slots=True)
class ToolCall:
    id: str
    name: str
    #: The arguments as they were streamed; perhaps not yet whole.
    input_text: str = ""
    #: Whether the arguments are whole, and `input` holds them.
    called: bool = False
    input: Any = None
    answered: bool = False
    output: Any = None
    error: str | None = None


Part = Text | Reasoning | ToolCall
_Part = TypeVar("_Part", Text, Reasoning, ToolCall)


@dataclass(slots=True)
class Step:
    parts: list[Text | Reasoning | ToolCall] = field(
        default_factory=list["Text | Reasoning | ToolCall"]
    )
    finished: bool = False

    @property
    def text(self) -> str:
        return "".join(part.text for part in self.parts if isinstance(part, Text))

    @property
    def calls(self) -> list[ToolCall]:
        """The tool calls whose arguments are whole: all, as soon as the first has been made."""
        calls = [part for part in self.parts if isinstance(part, ToolCall)]
        return calls if any(call.called for call in calls) else []


@dataclass(slots=True)
class Transcript:
    steps: list[Step] = field(default_factory=list[Step])

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> "Transcript":
        """Fold a log. What a newer worker has said, and this one does not know, is passed over."""
        transcript = cls()
        for entry in entries:
            if entry.data != DONE:
                with suppress(ValidationError):
                    transcript.add(decode(entry.data))
        return transcript

    @property
    def parts(self) -> list[Part]:
        return [part for step in self.steps for part in step.parts]

    @property
    def step_open(self) -> bool:
        return bool(self.steps) and not self.steps[-1].finished

    def closing(self) -> list[StreamEvent]:
        """The events that end what is open: `text-end`, `reasoning-end`, `finish-step`."""
        events: list[StreamEvent] = []
        for part in self.parts:
            if isinstance(part, Text) and part.open:
                events.append(TextEnd(id=part.id))
            elif isinstance(part, Reasoning) and part.open:
                events.append(ReasoningEnd(id=part.id))
        return [*events, FinishStep()] if self.step_open else events

    def add(self, event: StreamEvent) -> None:
        match event:
            case StartStep():
                self.steps.append(Step())
            case FinishStep():
                self.steps[-1].finished = True
            case TextStart():
                self.steps[-1].parts.append(Text(event.id))
            case ReasoningStart():
                self.steps[-1].parts.append(Reasoning(event.id))
            case TextDelta():
                self._part(Text, event.id).text += event.delta
            case ReasoningDelta():
                self._part(Reasoning, event.id).text += event.delta
            case TextEnd():
                self._part(Text, event.id).open = False
            case ReasoningEnd():
                self._part(Reasoning, event.id).open = False
            case _:
                self._add_tool_event(event)

    def _add_tool_event(self, event: StreamEvent) -> None:
        match event:
            case ToolInputStart():
                self.steps[-1].parts.append(ToolCall(event.tool_call_id, event.tool_name))
            case ToolInputDelta():
                self._part(ToolCall, event.tool_call_id).input_text += event.input_text_delta
            case ToolInputAvailable():
                call = self._part(ToolCall, event.tool_call_id)
                call.called, call.input = True, event.input
            case ToolInputError():
                call = self._part(ToolCall, event.tool_call_id)
                call.called, call.input = True, event.input
                call.answered, call.error = True, event.error_text
            case ToolOutputAvailable():
                call = self._part(ToolCall, event.tool_call_id)
                call.answered, call.output = True, event.output
            case ToolOutputError():
                call = self._part(ToolCall, event.tool_call_id)
                call.answered, call.error = True, event.error_text
            case _:
                pass

    def _part(self, kind: type[_Part], part_id: str) -> _Part:
        """The newest part of a kind with this id: ids are unique among one kind only."""
        return next(
            part for part in reversed(self.parts) if isinstance(part, kind) and part.id == part_id
        )
