"""What a run's log says so far, folded: the steps, their parts, and what is still open.

A new attempt goes on from it, and whoever closes a run ends the open parts by it. Runs that have
made one message, each going on from the answers to the calls of the one before, are one transcript.
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import ValidationError

from shared.streams.event_stream import Entry
from shared.streams.events import (
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
    ToolApprovalRequest,
    ToolInputAvailable,
    ToolInputDelta,
    ToolInputError,
    ToolInputStart,
    ToolOutputAvailable,
    ToolOutputDenied,
    ToolOutputError,
    decode,
)
from shared.streams.tool_responses import DENIED, ToolResponse


@dataclass(slots=True)
class TranscriptText:
    id: str
    text: str = ""
    open: bool = True


@dataclass(slots=True)
class TranscriptReasoning:
    id: str
    text: str = ""
    open: bool = True


@dataclass(slots=True)
class TranscriptToolCall:
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
    #: Set where the call was put before the user.
    approval_id: str | None = None
    #: What the client has answered to it.
    answer: ToolResponse | None = None


Part = TranscriptText | TranscriptReasoning | TranscriptToolCall
_Part = TypeVar("_Part", TranscriptText, TranscriptReasoning, TranscriptToolCall)


@dataclass(slots=True)
class Step:
    parts: list[TranscriptText | TranscriptReasoning | TranscriptToolCall] = field(
        default_factory=list["TranscriptText | TranscriptReasoning | TranscriptToolCall"]
    )
    finished: bool = False

    @property
    def text(self) -> str:
        return "".join(part.text for part in self.parts if isinstance(part, TranscriptText))

    @property
    def calls(self) -> list[TranscriptToolCall]:
        """The tool calls whose arguments are whole: all, as soon as the first has been made."""
        calls = [part for part in self.parts if isinstance(part, TranscriptToolCall)]
        return calls if any(call.called for call in calls) else []

    @property
    def missing(self) -> list[TranscriptToolCall]:
        """The calls without a result."""
        return [call for call in self.calls if not call.answered]


@dataclass(slots=True)
class Transcript:
    steps: list[Step] = field(default_factory=list[Step])
    #: How many of its parts are of earlier runs.
    earlier: int = 0

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> "Transcript":
        """Fold a log."""
        transcript = cls()
        transcript.fold(entries)
        return transcript

    @classmethod
    def continuing(
        cls, earlier: Iterable[Entry], answers: Mapping[str, ToolResponse]
    ) -> "Transcript":
        """Fold the logs of earlier runs, and put the answers to the calls that these ended with."""
        transcript = cls.of(earlier)
        for call in transcript.pending:
            call.answer = answers.get(call.id)
        transcript.earlier = len(transcript.parts)
        return transcript

    def fold(self, entries: Iterable[Entry]) -> None:
        """Go on with a log. What this version does not know is passed over."""
        for entry in entries:
            if entry.data != DONE:
                with suppress(ValidationError, LookupError):
                    self.add(decode(entry.data))

    @property
    def parts(self) -> list[Part]:
        return [part for step in self.steps for part in step.parts]

    @property
    def shown(self) -> bool:
        """Whether the last run has shown anything of its own."""
        return len(self.parts) > self.earlier

    @property
    def pending(self) -> list[TranscriptToolCall]:
        """The calls that a run which succeeded has left to its client."""
        return self.steps[-1].missing if self.steps and self.steps[-1].finished else []

    @property
    def step_open(self) -> bool:
        return bool(self.steps) and not self.steps[-1].finished

    def closing(self) -> list[StreamEvent]:
        """The events that end what is open: `text-end`, `reasoning-end`, `finish-step`."""
        events: list[StreamEvent] = []
        for part in self.parts:
            if isinstance(part, TranscriptText) and part.open:
                events.append(TextEnd(id=part.id))
            elif isinstance(part, TranscriptReasoning) and part.open:
                events.append(ReasoningEnd(id=part.id))
        return [*events, FinishStep()] if self.step_open else events

    def add(self, event: StreamEvent) -> None:
        match event:
            case StartStep():
                self.steps.append(Step())
            case FinishStep():
                self.steps[-1].finished = True
            case TextStart():
                self.steps[-1].parts.append(TranscriptText(event.id))
            case ReasoningStart():
                self.steps[-1].parts.append(TranscriptReasoning(event.id))
            case TextDelta():
                self._part(TranscriptText, event.id).text += event.delta
            case ReasoningDelta():
                self._part(TranscriptReasoning, event.id).text += event.delta
            case TextEnd():
                self._part(TranscriptText, event.id).open = False
            case ReasoningEnd():
                self._part(TranscriptReasoning, event.id).open = False
            case _:
                self._add_tool_event(event)

    def _add_tool_event(self, event: StreamEvent) -> None:
        match event:
            case ToolInputStart():
                self.steps[-1].parts.append(TranscriptToolCall(event.tool_call_id, event.tool_name))
            case ToolInputDelta():
                self._part(
                    TranscriptToolCall, event.tool_call_id
                ).input_text += event.input_text_delta
            case ToolInputAvailable():
                call = self._part(TranscriptToolCall, event.tool_call_id)
                call.called, call.input = True, event.input
            case ToolInputError():
                call = self._part(TranscriptToolCall, event.tool_call_id)
                call.called, call.input = True, event.input
                call.answered, call.error = True, event.error_text
            case ToolOutputAvailable():
                call = self._part(TranscriptToolCall, event.tool_call_id)
                call.answered, call.output = True, event.output
            case ToolOutputError():
                call = self._part(TranscriptToolCall, event.tool_call_id)
                call.answered, call.error = True, event.error_text
            case ToolApprovalRequest():
                call = self._part(TranscriptToolCall, event.tool_call_id)
                call.approval_id, call.answer = event.approval_id, None
            case ToolOutputDenied():
                call = self._part(TranscriptToolCall, event.tool_call_id)
                reason = call.answer and call.answer.reason
                call.answered, call.error = True, reason or DENIED
            case _:
                pass

    def _part(self, kind: type[_Part], part_id: str) -> _Part:
        """The newest part of a kind with this id: ids are unique among one kind only."""
        for part in reversed(self.parts):
            if isinstance(part, kind) and part.id == part_id:
                return part
        raise LookupError(part_id)
