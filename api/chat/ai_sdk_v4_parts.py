"""Parts of messages that only version 4 of the AI SDK sends."""

from typing import Annotated, Literal, cast

from pydantic import StringConstraints

from api.http.body_model import Base64, FileUrl, MediaType, Name, Nested, RequestModel
from shared.chat import messages
from shared.streams.tool_responses import ToolResponse


class Invocation(RequestModel):
    state: Literal["partial-call", "call", "result"]
    tool_call_id: Name
    tool_name: Name
    args: Nested = None
    result: Nested = None
    #: As in the `basic` stream format.
    is_error: bool | None = None
    step: int = 0

    def normalized(self) -> messages.Part | None:
        """Return the call with its result; None without a result, which models do not accept."""
        if self.state != "result":
            return None
        return messages.ToolPart(
            tool_call_id=self.tool_call_id,
            tool_name=self.tool_name,
            input=self.args if isinstance(cast("object", self.args), dict) else {},
            output=None if self.is_error else self.result,
            error_text=self._error if self.is_error else None,
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


class ToolInvocation(RequestModel):
    tool_invocation: Invocation

    def normalized(self) -> messages.Part | None:
        return self.tool_invocation.normalized()


class InlineFile(RequestModel):
    #: Part of a `data:` URL before its first comma, so it must not contain one.
    mime_type: Annotated[str, StringConstraints(pattern=r"^[^,]{1,256}$")]
    data: Base64

    def normalized(self) -> messages.FilePart:
        url = f"data:{self.mime_type};base64,{self.data}"
        return messages.FilePart(media_type=self.mime_type, url=url)


class Attachment(RequestModel):
    """A file in `experimental_attachments`, beside the message's text."""

    url: FileUrl
    content_type: MediaType = "application/octet-stream"
    name: str | None = None

    def normalized(self) -> messages.FilePart:
        return messages.FilePart(media_type=self.content_type, url=self.url, filename=self.name)
