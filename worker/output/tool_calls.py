"""The tool calls of a run, as stream events."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, cast

from pydantic_ai.messages import (
    FunctionToolCallEvent,
    FunctionToolResultEvent,
    ToolCallPart,
    ToolReturnPart,
)
from pydantic_core import to_json, to_jsonable_python

from shared.streams.events import (
    Data,
    File,
    SourceDocument,
    SourceUrl,
    StreamEvent,
    ToolApprovalRequest,
    ToolExtra,
    ToolInputAvailable,
    ToolInputDelta,
    ToolInputError,
    ToolInputStart,
    ToolOutputAvailable,
    ToolOutputError,
)
from shared.streams.transcript import Transcript, TranscriptToolCall
from worker.models.chat.tool_call_ids import MODEL_ID
from worker.output.provider_metadata import metadata_of


class ToolCalls:
    """Emits the input, approval, and output events of tool calls, continuing from a transcript."""

    def __init__(self, transcript: Transcript, emit: Callable[[StreamEvent], None]) -> None:
        calls = [part for part in transcript.parts if isinstance(part, TranscriptToolCall)]
        self._emit = emit
        #: Calls whose arguments were interrupted.
        self._interrupted = [
            part
            for step in transcript.steps
            for part in step.parts
            if isinstance(part, TranscriptToolCall) and not step.calls
        ]
        #: Calls whose complete arguments an earlier attempt has emitted.
        self._available = {call.id for call in calls if call.input_complete}
        #: Calls that already wait for the user's approval.
        self._approval_requested = {
            call.id for call in calls if call.approval_id and not call.response
        }
        #: Ids of the calls whose arguments are being streamed, by index in the model's response.
        self._open: dict[int, str] = {}
        #: The id under which clients have seen a call, by the model's id in this attempt.
        self._restored_ids: dict[str, str] = {}
        self._calls: dict[str, ToolCallPart] = {}
        self._invalid: set[str] = set()

    def start_response(self) -> None:
        self._open.clear()

    def end_response(self) -> None:
        """Report the interrupted calls of an earlier attempt that the response did not repeat."""
        for call in self._interrupted:
            self._emit(
                ToolInputError(
                    tool_call_id=call.id,
                    tool_name=call.name,
                    input=call.input_text,
                    error_text="The call was interrupted and not made.",
                )
            )
        self._interrupted.clear()

    def restore_id(self, call: ToolCallPart, provider: str | None) -> None:
        """Give a call of the current response the id under which clients have seen it.

        The model's id is kept in the call's details, for later requests to the provider's models.
        """
        if (seen := self._restored_ids.pop(call.tool_call_id, None)) is not None:
            details = call.provider_details or {}
            call.provider_details = {MODEL_ID: call.tool_call_id, **details}
            call.provider_name = call.provider_name or provider
            call.tool_call_id = seen

    def start(self, index: int, call: ToolCallPart) -> None:
        """Start a call, or replace the interrupted call of the same tool."""
        interrupted = next((c for c in self._interrupted if c.name == call.tool_name), None)
        if interrupted is not None:
            self._interrupted.remove(interrupted)
            self._restored_ids[call.tool_call_id] = interrupted.id
            return
        self._open[index] = call.tool_call_id
        self._emit(ToolInputStart(tool_call_id=call.tool_call_id, tool_name=call.tool_name))
        self.add_input(index, call.args)

    def add_input(self, index: int, args: str | dict[str, Any] | None) -> None:
        if args and (call_id := self._open.get(index)) is not None:
            text = args if isinstance(args, str) else to_json(args).decode()
            self._emit(ToolInputDelta(tool_call_id=call_id, input_text_delta=text))

    def end(self, index: int) -> None:
        self._open.pop(index, None)

    def on_call(self, event: FunctionToolCallEvent) -> None:
        """Emit the complete arguments of a call, unless an earlier attempt has."""
        call = event.part
        self._calls[call.tool_call_id] = call
        # Some models reuse an id in a later step.
        self._invalid.discard(call.tool_call_id)
        if event.args_valid is False:
            self._invalid.add(call.tool_call_id)
        elif call.tool_call_id in self._available:
            self._available.remove(call.tool_call_id)
        else:
            self._emit(
                ToolInputAvailable(
                    tool_call_id=call.tool_call_id,
                    tool_name=call.tool_name,
                    input=call.args_as_dict(),
                    provider_metadata=metadata_of(call),
                )
            )

    def request_approval(self, call_id: str) -> None:
        """Ask the user to approve a call. A call has at most one pending approval."""
        if call_id not in self._approval_requested:
            self._approval_requested.add(call_id)
            self._emit(ToolApprovalRequest(approval_id=f"approval-{call_id}", tool_call_id=call_id))

    def on_result(self, event: FunctionToolResultEvent) -> None:
        part = event.part
        call_id = part.tool_call_id
        if call_id in self._invalid:
            call = self._calls[call_id]
            self._emit(
                ToolInputError(
                    tool_call_id=call_id,
                    tool_name=call.tool_name,
                    input=call.args,
                    error_text=_as_text(part.content),
                    provider_metadata=metadata_of(call),
                )
            )
        elif part.outcome == "success":
            output = to_jsonable_python(part.content, fallback=str)
            self._emit(ToolOutputAvailable(tool_call_id=call_id, output=output))
            for extra in _extras(part):
                self._emit(extra)
        else:
            self._emit(ToolOutputError(tool_call_id=call_id, error_text=_as_text(part.content)))


def _extras(part: ToolReturnPart) -> Iterator[ToolExtra]:
    """Yield the events that a tool attached to its result.

    They are emitted right after the result and therefore written in the same append: the stream has
    both or neither, and a call with a result is not repeated.
    """
    metadata: object = part.metadata
    for extra in cast("Iterable[object]", metadata) if isinstance(metadata, list | tuple) else ():
        match extra:
            case Data():
                data = to_jsonable_python(extra.data, fallback=str)
                yield extra.model_copy(update={"data": data})
            case SourceUrl() | SourceDocument() | File():
                yield extra
            case _:
                pass


def _as_text(content: object) -> str:
    return content if isinstance(content, str) else to_json(content, fallback=str).decode()
