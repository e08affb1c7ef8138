"""The client's reply to a pending tool call: an approval decision or a result."""

from typing import Any

from pydantic import BaseModel, ConfigDict

from shared.streams.events import (
    StreamEvent,
    ToolOutputAvailable,
    ToolOutputDenied,
    ToolOutputError,
)

#: The text that the model receives for a call denied without a reason.
DENIED_TEXT = "The user denied this call."


class ToolResponse(BaseModel):
    """An approval decision if `approved` is set, otherwise a result: an output or an error."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    approved: bool | None = None
    #: The reason of a denial.
    reason: str | None = None
    output: Any = None
    error: str | None = None

    def to_event(self, call_id: str) -> StreamEvent | None:
        """Return the stream event; None for an approval, whose result follows later."""
        if self.approved:
            return None
        if self.approved is False:
            return ToolOutputDenied(tool_call_id=call_id)
        if self.error is not None:
            return ToolOutputError(tool_call_id=call_id, error_text=self.error)
        return ToolOutputAvailable(tool_call_id=call_id, output=self.output)
