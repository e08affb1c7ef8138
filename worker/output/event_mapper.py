"""pydantic-ai's events, as events of the run's stream.

The ids of parts are counted over the whole run, so that every attempt names them alike.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, cast

from pydantic_ai.messages import (
    AgentStreamEvent,
    DeferredToolRequestsEvent,
    FunctionToolCallEvent,
    FunctionToolResultEvent,
    ModelResponse,
    PartDeltaEvent,
    PartEndEvent,
    PartStartEvent,
    TextPart,
    TextPartDelta,
    ThinkingPart,
    ThinkingPartDelta,
    ToolCallPart,
    ToolCallPartDelta,
    ToolReturnPart,
)
from pydantic_core import to_json, to_jsonable_python

from shared.streams.events import (
    Data,
    Extra,
    File,
    FinishStep,
    ReasoningDelta,
    ReasoningEnd,
    ReasoningStart,
    SourceDocument,
    SourceUrl,
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
    ToolOutputError,
)
from shared.streams.transcript import (
    Transcript,
    TranscriptReasoning,
    TranscriptText,
    TranscriptToolCall,
)


class EventMapper:
    """Feeds `emit` with the stream's events, going on from a transcript.

    With `asks`, a call that needs approval is put before the user.
    """

    def __init__(
        self,
        transcript: Transcript,
        emit: Callable[[StreamEvent], None],
        *,
        asks: bool = False,
    ) -> None:
        parts = transcript.parts
        self._emit = emit
        self._step_open = transcript.step_open
        #: The open step has made its calls: the next request to the model begins another.
        self._step_asked = transcript.step_open and bool(transcript.steps[-1].calls)
        self._texts = sum(isinstance(part, TranscriptText) for part in parts)
        self._reasonings = sum(isinstance(part, TranscriptReasoning) for part in parts)
        #: The open parts of the current response, by their index in it.
        self._open: dict[int, str] = {}
        self._resumed_text = next(
            (p.id for p in parts if isinstance(p, TranscriptText) and p.open), None
        )
        #: Calls whose arguments broke off while they were shown, and those that are shown whole.
        self._orphans = [
            part
            for step in transcript.steps
            for part in step.parts
            if isinstance(part, TranscriptToolCall) and not step.calls
        ]
        self._asks = asks
        #: Calls that wait for the user already.
        self._asked = {
            p.id
            for p in parts
            if isinstance(p, TranscriptToolCall) and p.approval_id and not p.answer
        }
        self._called = {p.id for p in parts if isinstance(p, TranscriptToolCall) and p.called}
        for part in parts:
            if isinstance(part, TranscriptReasoning) and part.open:
                emit(ReasoningEnd(id=part.id))
        #: Our names for the calls of the model, where an earlier attempt has shown one already.
        self._call_ids: dict[str, str] = {}
        self._calls: dict[str, ToolCallPart] = {}
        self._invalid: set[str] = set()

    def start_step(self) -> None:
        """A model request begins; an open step is gone on with, if it has not made its calls."""
        if self._step_asked:
            self.end_step()
        if not self._step_open:
            self._emit(StartStep())
            self._step_open = True
        self._open.clear()

    def end_response(self) -> None:
        """A model's response is whole: what an earlier attempt left open ends here."""
        if self._resumed_text is not None:
            self._emit(TextEnd(id=self._resumed_text))
            self._resumed_text = None
        for orphan in self._orphans:
            self._emit(
                ToolInputError(
                    tool_call_id=orphan.id,
                    tool_name=orphan.name,
                    input=orphan.input_text,
                    error_text="The call was interrupted and not made.",
                )
            )
        self._orphans.clear()

    def name_calls(self, response: ModelResponse) -> None:
        """Give the calls of a response the ids that clients know them by, in every attempt."""
        for part in response.parts:
            if isinstance(part, ToolCallPart):
                part.tool_call_id = self._call_ids.pop(part.tool_call_id, part.tool_call_id)

    def end_step(self) -> None:
        if self._step_open:
            self._emit(FinishStep())
            self._step_open = self._step_asked = False

    def on_model_event(self, event: AgentStreamEvent) -> None:
        match event:
            case PartDeltaEvent():
                self._on_delta(event)
            case PartStartEvent():
                self._on_start(event)
            case PartEndEvent():
                self._on_end(event)
            case _:
                pass

    def on_tool_event(self, event: AgentStreamEvent) -> None:
        match event:
            case FunctionToolCallEvent():
                self._on_call(event)
            case FunctionToolResultEvent():
                self._on_result(event)
            case DeferredToolRequestsEvent():
                for call in event.requests.approvals if self._asks else ():
                    self._ask(call.tool_call_id)
            case _:
                pass

    def _on_delta(self, event: PartDeltaEvent) -> None:
        part_id = self._open.get(event.index)
        if part_id is None:
            return
        match event.delta:
            case TextPartDelta(content_delta=text):
                if text:
                    self._emit(TextDelta(id=part_id, delta=text))
            case ThinkingPartDelta(content_delta=text):
                if text:
                    self._emit(ReasoningDelta(id=part_id, delta=text))
            case ToolCallPartDelta(args_delta=args):
                self._emit_input(part_id, args)
            case _:
                pass

    def _on_start(self, event: PartStartEvent) -> None:
        match event.part:
            case TextPart(content=text):
                self._open[event.index] = text_id = self._start_text()
                if text:
                    self._emit(TextDelta(id=text_id, delta=text))
            case ThinkingPart(content=text):
                self._reasonings += 1
                self._open[event.index] = part_id = f"reasoning-{self._reasonings}"
                self._emit(ReasoningStart(id=part_id))
                if text:
                    self._emit(ReasoningDelta(id=part_id, delta=text))
            case ToolCallPart() as call:
                self._start_call(event.index, call)
            case _:
                pass

    def _start_text(self) -> str:
        if (resumed := self._resumed_text) is not None:
            self._resumed_text = None
            return resumed
        self._texts += 1
        text_id = f"text-{self._texts}"
        self._emit(TextStart(id=text_id))
        return text_id

    def _start_call(self, index: int, call: ToolCallPart) -> None:
        """Show a call; or take up the one of the same tool that broke off while it was shown."""
        orphan = next((o for o in self._orphans if o.name == call.tool_name), None)
        if orphan is not None:
            self._orphans.remove(orphan)
            self._call_ids[call.tool_call_id] = orphan.id
            return
        self._open[index] = call.tool_call_id
        self._emit(ToolInputStart(tool_call_id=call.tool_call_id, tool_name=call.tool_name))
        self._emit_input(call.tool_call_id, call.args)

    def _emit_input(self, call_id: str, args: str | dict[str, Any] | None) -> None:
        if args:
            text = args if isinstance(args, str) else to_json(args).decode()
            self._emit(ToolInputDelta(tool_call_id=call_id, input_text_delta=text))

    def _on_end(self, event: PartEndEvent) -> None:
        part_id = self._open.pop(event.index, None)
        if part_id is None:
            return
        match event.part:
            case TextPart():
                self._emit(TextEnd(id=part_id))
            case ThinkingPart():
                self._emit(ReasoningEnd(id=part_id))
            case _:
                pass

    def _on_call(self, event: FunctionToolCallEvent) -> None:
        call = event.part
        self._calls[call.tool_call_id] = call
        # Some models use an id again in a later step: what was known of it is over.
        self._invalid.discard(call.tool_call_id)
        if event.args_valid is False:
            self._invalid.add(call.tool_call_id)
            return
        if call.tool_call_id in self._called:
            self._called.remove(call.tool_call_id)
            return
        self._emit(
            ToolInputAvailable(
                tool_call_id=call.tool_call_id,
                tool_name=call.tool_name,
                input=call.args_as_dict(),
            )
        )

    def _ask(self, call_id: str) -> None:
        """The id of an approval is its call's: a call waits for one at a time."""
        if call_id not in self._asked:
            self._asked.add(call_id)
            self._emit(ToolApprovalRequest(approval_id=f"approval-{call_id}", tool_call_id=call_id))

    def _on_result(self, event: FunctionToolResultEvent) -> None:
        part = event.part
        if part.tool_call_id in self._invalid:
            call = self._calls[part.tool_call_id]
            self._emit(
                ToolInputError(
                    tool_call_id=part.tool_call_id,
                    tool_name=call.tool_name,
                    input=call.args,
                    error_text=_text(part.content),
                )
            )
        elif part.outcome == "success":
            output = to_jsonable_python(part.content, fallback=str)
            self._emit(ToolOutputAvailable(tool_call_id=part.tool_call_id, output=output))
            for extra in _extras(part):
                self._emit(extra)
        else:
            error_text = _text(part.content)
            self._emit(ToolOutputError(tool_call_id=part.tool_call_id, error_text=error_text))


def _extras(part: ToolReturnPart) -> Iterator[Extra]:
    """What a tool shows beside its result.

    It is handed over in one go with the result, and so written in one append: a log has both or
    neither, and a call that has its result is not made again.
    """
    shown: object = part.metadata
    for extra in cast("Iterable[object]", shown) if isinstance(shown, list | tuple) else ():
        match extra:
            case Data():
                data = to_jsonable_python(extra.data, fallback=str)
                yield extra.model_copy(update={"data": data})
            case SourceUrl() | SourceDocument() | File():
                yield extra
            case _:
                pass


def _text(content: object) -> str:
    return content if isinstance(content, str) else to_json(content, fallback=str).decode()
