"""The `basic` stream format: five types of events, for clients that show text and tool calls.

Its fields have the names of the stream parts of the AI SDK 4. Reasoning, sources, files, data parts
and step events are left out. Each stored entry yields at most one event, which keeps its id.
"""

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from shared.streams import events
from shared.streams.event_stream import Entry
from shared.streams.events import DONE, FinishReason
from shared.streams.events import Event as _Event
from shared.streams.tool_responses import DENIED_TEXT


class BasicTextDelta(_Event):
    type: Literal["text-delta"] = "text-delta"
    text_delta: str


class BasicToolCall(events.NullableEvent):
    """A tool call. Its `tool-result` follows unless the answer ends first."""

    type: Literal["tool-call"] = "tool-call"
    tool_call_id: str
    tool_name: str
    args: Any


class BasicToolResult(events.NullableEvent):
    """The result of a tool call. If `isError` is true, `result` is the error text."""

    type: Literal["tool-result"] = "tool-result"
    tool_call_id: str
    tool_name: str
    args: Any
    result: Any
    is_error: Literal[True] | None = None


class BasicFinish(_Event):
    """The answer is complete, or was stopped (`cancelled`)."""

    type: Literal["finish"] = "finish"
    finish_reason: FinishReason | Literal["cancelled", "unknown"]


class BasicError(_Event):
    """The answer failed: a text for the user and a code for the application."""

    type: Literal["error"] = "error"
    error: str
    code: str


BasicEvent = Annotated[
    BasicTextDelta | BasicToolCall | BasicToolResult | BasicFinish | BasicError,
    Field(discriminator="type"),
]


class BasicConverter:
    """Converts one run for one client. It must receive the stream in order, from its start.

    It keeps the tool calls that have no result yet, with their arguments.
    """

    def __init__(self) -> None:
        self._calls: dict[str, BasicToolCall] = {}
        self._error_code = "internal_error"

    def __call__(self, entries: Iterable[Entry]) -> list[Entry]:
        """Return the entries that exist in this format, with the data of their events."""
        return [
            entry._replace(data=data) for entry in entries if (data := self._convert(entry.data))
        ]

    def _convert(self, data: bytes) -> bytes | None:
        if data == DONE:
            return DONE
        try:
            event = self._event(events.decode(data))
        except ValidationError:
            return None  # an event type of a newer worker
        return event.encode() if event else None

    def _event(self, event: events.StreamEvent) -> BasicEvent | None:
        match event:
            case events.TextDelta():
                return BasicTextDelta(text_delta=event.delta)
            case events.Finish():
                return BasicFinish(finish_reason=event.finish_reason or "unknown")
            case events.Abort():
                return BasicFinish(finish_reason="cancelled")
            case events.Error():
                return BasicError(error=event.error_text, code=self._error_code)
            case events.Data(type="data-error", data={"code": str(code)}):
                self._error_code = code
                return None
            case _:
                return self._tool_event(event)

    def _tool_event(self, event: events.StreamEvent) -> BasicToolCall | BasicToolResult | None:
        match event:
            case events.ToolInputAvailable():
                call = BasicToolCall(
                    tool_call_id=event.tool_call_id, tool_name=event.tool_name, args=event.input
                )
                self._calls[call.tool_call_id] = call
                return call
            case events.ToolOutputAvailable():
                return self._result(event.tool_call_id, event.output)
            case events.ToolOutputError():
                return self._result(event.tool_call_id, event.error_text, is_error=True)
            case events.ToolOutputDenied():
                return self._result(event.tool_call_id, DENIED_TEXT, is_error=True)
            case _:
                return None

    def _result(
        self, call_id: str, result: object, *, is_error: Literal[True] | None = None
    ) -> BasicToolResult | None:
        call = self._calls.pop(call_id, None)
        return call and BasicToolResult(
            tool_call_id=call_id,
            tool_name=call.tool_name,
            args=call.args,
            result=result,
            is_error=is_error,
        )
