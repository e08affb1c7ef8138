"""What a client answers to a call that a run ended with: an approval, or a result of its own."""

from typing import Any

from pydantic import BaseModel, ConfigDict

from shared.streams.events import (
    StreamEvent,
    ToolOutputAvailable,
    ToolOutputDenied,
    ToolOutputError,
)

#: What the model is told of a call that was denied without a reason.
DENIED = "The user denied this call."


class ToolResponse(BaseModel):
    """Of an approval `approved` is set; else it is a result: an output, or the text of an error."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    approved: bool | None = None
    #: Why it was denied.
    reason: str | None = None
    output: Any = None
    error: str | None = None

    def event(self, call_id: str) -> StreamEvent | None:
        """How the log says it; None for an approval: the call's result will follow."""
        if self.approved:
            return None
        if self.approved is False:
            return ToolOutputDenied(tool_call_id=call_id)
        if self.error is not None:
            return ToolOutputError(tool_call_id=call_id, error_text=self.error)
        return ToolOutputAvailable(tool_call_id=call_id, output=self.output)
