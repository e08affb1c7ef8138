"""Parts of messages that only version 4 of the AI SDK sends."""

from typing import Literal

from api.chat.parts.ai_sdk import CallId, file_part, tool_part
from api.chat.parts.file_fields import FileName, FileUrl, MediaType
from api.http.body_model import Nested, RequestModel
from shared.chat import messages
from shared.streams.tool_responses import ToolResponse


class Invocation(RequestModel):
    state: Literal["partial-call", "call", "result"]
    tool_call_id: CallId
    tool_name: str
    args: Nested = None
    result: Nested = None
    #: As in the `basic` stream format.
    is_error: bool | None = None
    step: int = 0

    def normalized(self) -> messages.Part | None:
        """Return the call with its result; None without a result, which models do not accept."""
        if self.state != "result":
            return None
        return tool_part(
            self.tool_call_id,
            self.tool_name,
            self.args,
            output=None if self.is_error else self.result,
            error=self._error if self.is_error else None,
        )

    @property
    def name(self) -> str:
        return self.tool_name

    @property
    def _error(self) -> str:
        return self.result if isinstance(self.result, str) else "The tool failed."

    def tool_response(self) -> ToolResponse | None:
        if self.state != "result":
            return None
        return (
            ToolResponse(error=self._error) if self.is_error else ToolResponse(output=self.result)
        )

    def values(self) -> tuple[object, ...]:
        return (self.args, self.result)


class ToolInvocation(RequestModel):
    tool_invocation: Invocation

    def normalized(self) -> messages.Part | None:
        return self.tool_invocation.normalized()


class Attachment(RequestModel):
    """A file in `experimental_attachments`, beside the message's text."""

    url: FileUrl
    content_type: MediaType = ""
    name: FileName = None

    def normalized(self) -> messages.FilePart:
        return file_part(self.url, self.content_type, self.name)
