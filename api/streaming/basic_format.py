"""The basic wire: five types of events, for clients that show a text and its tool calls.

A view of a run's log, made on the way out for those who ask for it. Its fields are named as the
stream parts of the AI SDK 4 were. Reasoning, sources, files, data parts and the marks of steps are
left out. An entry of the log yields one event at most, which keeps the entry's id.
"""

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from shared.streams import events as log
from shared.streams.event_stream import Entry
from shared.streams.events import DONE, FinishReason
from shared.streams.events import Event as _Event
from shared.streams.tool_responses import DENIED


class BasicTextDelta(_Event):
    type: Literal["text-delta"] = "text-delta"
    text_delta: str


class BasicToolCall(log.Nullable):
    """A call that is being made; its `tool-result` follows, unless the answer ends before."""

    type: Literal["tool-call"] = "tool-call"
    tool_call_id: str
    tool_name: str
    args: Any


class BasicToolResult(log.Nullable):
    """What came of a call. Where `isError` is true, `result` is the text of the error."""

    type: Literal["tool-result"] = "tool-result"
    tool_call_id: str
    tool_name: str
    args: Any
    result: Any
    is_error: Literal[True] | None = None


class BasicFinish(_Event):
    """The answer is whole, or was `cancelled`: by a stop."""

    type: Literal["finish"] = "finish"
    finish_reason: FinishReason | Literal["cancelled", "unknown"]


class BasicError(_Event):
    """The answer failed: a text to read, and a code to switch on."""

    type: Literal["error"] = "error"
    error: str
    code: str


BasicEvent = Annotated[
    BasicTextDelta | BasicToolCall | BasicToolResult | BasicFinish | BasicError,
    Field(discriminator="type"),
]


class BasicView:
    """One client's view of one run. It has to see the log from its start, in order.

    It holds the calls that have no result yet, with their arguments, and nothing else.
    """

    def __init__(self) -> None:
        self._calls: dict[str, BasicToolCall] = {}
        self._error_code = "internal_error"

    def __call__(self, entries: Iterable[Entry]) -> list[Entry]:
        """The entries that this wire has, each with the bytes of its event."""
        return [
            entry._replace(data=data) for entry in entries if (data := self._translated(entry.data))
        ]

    def _translated(self, data: bytes) -> bytes | None:
        if data == DONE:
            return DONE
        try:
            event = self._event(log.decode(data))
        except ValidationError:
            return None  # a newer worker's word, which this wire does not have
        return event.encode() if event else None

    def _event(self, event: log.StreamEvent) -> BasicEvent | None:
        match event:
            case log.TextDelta():
                return BasicTextDelta(text_delta=event.delta)
            case log.Finish():
                return BasicFinish(finish_reason=event.finish_reason or "unknown")
            case log.Abort():
                return BasicFinish(finish_reason="cancelled")
            case log.Error():
                return BasicError(error=event.error_text, code=self._error_code)
            case log.Data(type="data-error", data={"code": str(code)}):
                self._error_code = code
                return None
            case _:
                return self._tool_event(event)

    def _tool_event(self, event: log.StreamEvent) -> BasicToolCall | BasicToolResult | None:
        match event:
            case log.ToolInputAvailable():
                call = BasicToolCall(
                    tool_call_id=event.tool_call_id, tool_name=event.tool_name, args=event.input
                )
                self._calls[call.tool_call_id] = call
                return call
            case log.ToolOutputAvailable():
                return self._result(event.tool_call_id, event.output)
            case log.ToolOutputError():
                return self._result(event.tool_call_id, event.error_text, is_error=True)
            case log.ToolOutputDenied():
                return self._result(event.tool_call_id, DENIED, is_error=True)
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
