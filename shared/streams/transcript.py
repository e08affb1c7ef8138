"""The transcript: a run's stream folded into steps, parts, and open parts.

A new attempt continues from the transcript, and the run finalizer uses it to end open parts. Runs
that produce one message together, each continuing after the tool responses to the previous one,
share one transcript.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import ValidationError

from shared.provider_metadata import Metadata, mamba_metadata
from shared.streams.event_stream import Entry, EventStream
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
from shared.streams.page_reader import read_pages
from shared.streams.tool_responses import DENIED_TEXT, ToolResponse


@dataclass(slots=True)
class TranscriptText:
    id: str
    text: str = ""
    open: bool = True
    metadata: Metadata | None = None


@dataclass(slots=True)
class TranscriptReasoning:
    id: str
    text: str = ""
    open: bool = True
    metadata: Metadata | None = None


@dataclass(slots=True)
class TranscriptToolCall:
    id: str
    name: str
    #: The streamed arguments, possibly incomplete.
    input_text: str = ""
    #: Whether the arguments are complete and parsed into `input`.
    input_complete: bool = False
    input: Any = None
    completed: bool = False
    output: Any = None
    error: str | None = None
    #: Set if the user was asked to approve the call.
    approval_id: str | None = None
    #: The client's reply.
    response: ToolResponse | None = None
    metadata: Metadata | None = None


TranscriptPart = TranscriptText | TranscriptReasoning | TranscriptToolCall
_Part = TypeVar("_Part", TranscriptText, TranscriptReasoning, TranscriptToolCall)


@dataclass(slots=True)
class TranscriptStep:
    parts: list[TranscriptPart] = field(default_factory=list[TranscriptPart])
    finished: bool = False

    @property
    def text(self) -> str:
        return "".join(part.text for part in self.parts if isinstance(part, TranscriptText))

    @property
    def calls(self) -> list[TranscriptToolCall]:
        """The step's tool calls, once any of them has complete arguments; empty before that."""
        calls = [part for part in self.parts if isinstance(part, TranscriptToolCall)]
        return calls if any(call.input_complete for call in calls) else []

    @property
    def incomplete_calls(self) -> list[TranscriptToolCall]:
        """Calls without a result."""
        return [call for call in self.calls if not call.completed]


@dataclass(slots=True)
class Transcript:
    """The steps of an answer so far, and which of their parts are still open."""

    steps: list[TranscriptStep] = field(default_factory=list[TranscriptStep])
    #: Number of parts that come from earlier runs.
    earlier_parts: int = 0
    #: The newest part of each kind and id. Ids are unique within one kind only.
    _newest: dict[tuple[type, str], TranscriptPart] = field(
        default_factory=dict["tuple[type, str]", "TranscriptPart"], repr=False, compare=False
    )
    #: The deltas that are not yet part of the text of their parts, by identity of the part.
    _deltas: dict[int, tuple[TranscriptPart, list[str]]] = field(
        default_factory=dict[int, "tuple[TranscriptPart, list[str]]"], repr=False, compare=False
    )

    def __post_init__(self) -> None:
        for part in self.parts:
            self._newest[type(part), part.id] = part

    @classmethod
    def from_entries(cls, entries: Iterable[Entry]) -> "Transcript":
        """Fold a stream."""
        transcript = cls()
        transcript.fold(entries)
        return transcript

    def fold(self, entries: Iterable[Entry]) -> None:
        """Fold more entries. Events that this version does not support are skipped."""
        self.extend(entries)
        self.join_deltas()

    def extend(self, entries: Iterable[Entry]) -> None:
        """Fold a part of the entries. Call `join_deltas` after the last part."""
        for entry in entries:
            if entry.data != DONE:
                with suppress(ValidationError, LookupError):
                    self._add(decode(entry.data))

    def begin_run(self, responses: Mapping[str, ToolResponse]) -> None:
        """Attach the tool responses to the pending calls. What follows belongs to another run."""
        for call in self.pending:
            call.response = responses.get(call.id)
        self.earlier_parts = len(self.parts)

    @property
    def parts(self) -> list[TranscriptPart]:
        return [part for step in self.steps for part in step.parts]

    @property
    def has_output(self) -> bool:
        """Whether the newest run has produced any part."""
        return len(self.parts) > self.earlier_parts

    @property
    def pending(self) -> list[TranscriptToolCall]:
        """The calls that a finished run left to its client."""
        return self.steps[-1].incomplete_calls if self.steps and self.steps[-1].finished else []

    @property
    def step_open(self) -> bool:
        return bool(self.steps) and not self.steps[-1].finished

    def closing_events(self) -> list[StreamEvent]:
        """Return the events that end open parts: `text-end`, `reasoning-end`, `finish-step`."""
        events: list[StreamEvent] = []
        for part in self.parts:
            if isinstance(part, TranscriptText) and part.open:
                events.append(TextEnd(id=part.id))
            elif isinstance(part, TranscriptReasoning) and part.open:
                events.append(ReasoningEnd(id=part.id))
        return [*events, FinishStep()] if self.step_open else events

    def add(self, event: StreamEvent) -> None:
        """Add one event.

        Raises:
            LookupError: if it belongs to no step or part.
        """
        self._add(event)
        self.join_deltas()

    def _add(self, event: StreamEvent) -> None:
        match event:
            case StartStep():
                self.steps.append(TranscriptStep())
            case FinishStep():
                self.steps[-1].finished = True
            case TextStart():
                self._begin(TranscriptText(event.id))
            case ReasoningStart():
                self._begin(TranscriptReasoning(event.id))
            case TextDelta():
                self._extend(self._part(TranscriptText, event.id), event.delta)
            case ReasoningDelta():
                self._extend(self._part(TranscriptReasoning, event.id), event.delta)
            case TextEnd():
                text = self._part(TranscriptText, event.id)
                text.open, text.metadata = False, mamba_metadata(event.provider_metadata)
            case ReasoningEnd():
                reasoning = self._part(TranscriptReasoning, event.id)
                reasoning.open, reasoning.metadata = False, mamba_metadata(event.provider_metadata)
            case _:
                self._add_tool_event(event)

    def _add_tool_event(self, event: StreamEvent) -> None:
        match event:
            case ToolInputStart():
                self._begin(TranscriptToolCall(event.tool_call_id, event.tool_name))
            case ToolInputDelta():
                self._extend(self._call(event.tool_call_id), event.input_text_delta)
            case ToolInputAvailable():
                call = self._call(event.tool_call_id)
                call.input_complete, call.input = True, event.input
                call.metadata = mamba_metadata(event.provider_metadata)
            case ToolInputError():
                call = self._call(event.tool_call_id)
                call.input_complete, call.input = True, event.input
                call.metadata = mamba_metadata(event.provider_metadata)
                call.completed, call.error = True, event.error_text
            case ToolOutputAvailable():
                call = self._call(event.tool_call_id)
                call.completed, call.output = True, event.output
            case ToolOutputError():
                call = self._call(event.tool_call_id)
                call.completed, call.error = True, event.error_text
            case ToolApprovalRequest():
                call = self._call(event.tool_call_id)
                call.approval_id, call.response = event.approval_id, None
            case ToolOutputDenied():
                call = self._call(event.tool_call_id)
                reason = call.response and call.response.reason
                call.completed, call.error = True, reason or DENIED_TEXT
            case _:
                pass

    def _call(self, call_id: str) -> TranscriptToolCall:
        return self._part(TranscriptToolCall, call_id)

    def _begin(self, part: TranscriptPart) -> None:
        self.steps[-1].parts.append(part)
        self._newest[type(part), part.id] = part

    def _part(self, kind: type[_Part], part_id: str) -> _Part:
        """Return the newest part of a kind with this id."""
        part = self._newest[kind, part_id]
        assert isinstance(part, kind)  # noqa: S101  (its type is part of the key)
        return part

    def _extend(self, part: TranscriptPart, delta: str) -> None:
        self._deltas.setdefault(id(part), (part, []))[1].append(delta)

    def join_deltas(self) -> None:
        """Add the deltas to their parts at once: adding each to a long text copies the text."""
        for part, deltas in self._deltas.values():
            if isinstance(part, TranscriptToolCall):
                part.input_text += "".join(deltas)
            else:
                part.text += "".join(deltas)
        self._deltas.clear()


async def read_transcript(
    stream: EventStream,
    run_id: str | None,
    *,
    continues: Iterable[str] = (),
    responses: Mapping[str, ToolResponse] | None = None,
    observe: Callable[[Iterable[Entry]], None] = lambda _: None,
) -> Transcript:
    """Fold the stream of a run, after those of the runs that it continues, page by page.

    `observe` receives the entries of the run. With None as `run_id`, the run has none yet.
    """
    transcript = Transcript()
    for earlier in continues:
        await read_pages(stream, earlier, transcript.extend)
    transcript.begin_run(responses or {})

    def process(entries: list[Entry]) -> None:
        transcript.extend(entries)
        observe(entries)

    if run_id is not None:
        await read_pages(stream, run_id, process)
    transcript.join_deltas()
    return transcript
