"""Maps pydantic-ai's events to events of the run's stream."""

from collections.abc import Callable

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
)

from shared.streams.events import FinishStep, SourceUrl, StartStep, StreamEvent
from shared.streams.transcript import Transcript
from worker.models.chat.extras import citations_of
from worker.models.transport.text_shortcut import TextShortcut
from worker.output.provider_metadata import metadata_of
from worker.output.text_parts import TextParts
from worker.output.tool_calls import ToolCalls


class EventMapper:
    """Passes stream events to `emit`, continuing from a transcript.

    With `request_approvals`, the user is asked to approve the calls that need it.
    """

    def __init__(
        self,
        transcript: Transcript,
        emit: Callable[[StreamEvent], None],
        *,
        request_approvals: bool = False,
    ) -> None:
        self._emit = emit
        self._request_approvals = request_approvals
        self._step_open = transcript.step_open
        #: Whether the open step has complete calls: the next model request starts another step.
        self._step_has_calls = transcript.step_open and bool(transcript.steps[-1].calls)
        self._texts = TextParts(transcript, emit)
        self._shortcut = TextShortcut(self._texts.add_text)
        self._calls = ToolCalls(transcript, emit)

    def start_step(self) -> None:
        """Begin a model request. Continues an open step that has no complete calls."""
        if self._step_has_calls:
            self.end_step()
        if not self._step_open:
            self._emit(StartStep())
            self._step_open = True
        self._texts.start_response()
        self._calls.start_response()

    def new_shortcut(self, prepare_write: Callable[[], bool]) -> TextShortcut:
        """Return the shortcut for the text of the next response.

        It calls `prepare_write` before each text, and writes the text if the result is True.
        """
        self._shortcut = TextShortcut(
            lambda part, text: prepare_write() and self._texts.add_text(part, text)
        )
        return self._shortcut

    def end_response(self) -> None:
        """Complete a model response: end what an earlier attempt left open."""
        self._shortcut.end()
        self._texts.end_response()
        self._calls.end_response()

    def restore_call_ids(self, response: ModelResponse) -> None:
        """Give the calls of a response the ids under which clients have seen them."""
        for part in response.parts:
            if isinstance(part, ToolCallPart):
                self._calls.restore_id(part, response.provider_name)

    def add_sources(self, response: ModelResponse) -> None:
        """Add the pages that a response cites."""
        for url, title in citations_of(response):
            self._emit(SourceUrl(source_id=url, url=url, title=title))

    def end_step(self) -> None:
        if self._step_open:
            self._emit(FinishStep())
            self._step_open = self._step_has_calls = False

    def on_model_event(self, event: AgentStreamEvent) -> None:
        match event:
            case PartStartEvent(index=index, part=TextPart(content=text)):
                text = self._shortcut.unwritten(index, text, starts=True)
                self._texts.start_text(index, text)
                return
            case PartDeltaEvent(index=index, delta=TextPartDelta(content_delta=text)):
                self._texts.add_text(index, self._shortcut.unwritten(index, text))
                return
            case PartStartEvent() | PartDeltaEvent() | PartEndEvent():
                self._shortcut.close()
            case _:
                return
        match event:
            case PartStartEvent(index=index, part=ThinkingPart(content=text)):
                self._texts.start_reasoning(index, text)
            case PartStartEvent(index=index, part=ToolCallPart() as call):
                self._calls.start(index, call)
            case PartDeltaEvent(index=index, delta=ThinkingPartDelta(content_delta=text)):
                self._texts.add_reasoning(index, text)
            case PartDeltaEvent(index=index, delta=ToolCallPartDelta(args_delta=args)):
                self._calls.add_input(index, args)
            case PartEndEvent(index=index, part=TextPart() | ThinkingPart() as part):
                self._texts.end(index, metadata_of(part))
            case PartEndEvent(index=index):
                self._calls.end(index)
            case _:
                pass

    def on_tool_event(self, event: AgentStreamEvent) -> None:
        match event:
            case FunctionToolCallEvent():
                self._calls.on_call(event)
            case FunctionToolResultEvent():
                self._calls.on_result(event)
            case DeferredToolRequestsEvent():
                for call in event.requests.approvals if self._request_approvals else ():
                    self._calls.request_approval(call.tool_call_id)
            case _:
                pass
