"""What messages of the AI SDK 4 hold and later ones do not."""

from typing import Annotated, Literal, cast

from pydantic import StringConstraints

from api.http.body_model import Base64, FileUrl, MediaType, Name, Nested, RequestModel
from shared.chat import messages as normalised
from shared.streams.tool_responses import ToolResponse


class Invocation(RequestModel):
    state: Literal["partial-call", "call", "result"]
    tool_call_id: Name
    tool_name: Name
    args: Nested = None
    result: Nested = None
    #: As the basic wire says it.
    is_error: bool | None = None
    step: int = 0

    def normal(self) -> normalised.Part | None:
        """The call with its result; a call that has none says nothing to a model."""
        if self.state != "result":
            return None
        return normalised.ToolPart(
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

    def answer(self) -> ToolResponse | None:
        if self.state != "result":
            return None
        return (
            ToolResponse(error=self._error) if self.is_error else ToolResponse(output=self.result)
        )


class ToolInvocation(RequestModel):
    tool_invocation: Invocation

    def normal(self) -> normalised.Part | None:
        return self.tool_invocation.normal()


class InlineFile(RequestModel):
    #: It stands before the first comma of a `data:` URL.
    mime_type: Annotated[str, StringConstraints(pattern=r"^[^,]{1,256}$")]
    data: Base64

    def normal(self) -> normalised.FilePart:
        url = f"data:{self.mime_type};base64,{self.data}"
        return normalised.FilePart(media_type=self.mime_type, url=url)


class Attachment(RequestModel):
    """A file that stands beside a message's text."""

    url: FileUrl
    content_type: MediaType = "application/octet-stream"
    name: str | None = None

    def normal(self) -> normalised.FilePart:
        return normalised.FilePart(media_type=self.content_type, url=self.url, filename=self.name)
