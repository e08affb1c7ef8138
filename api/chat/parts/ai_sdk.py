"""Parts of messages of the AI SDK 5 to 7."""

import re
from typing import Annotated, Any, cast

from pydantic import AliasChoices, BeforeValidator, Field, StrictBool
from pydantic_core import from_json, to_json

from api.chat.parts.file_fields import FileName, FileUrl, MediaType
from api.http.body_model import Nested, RequestModel, is_too_deep
from shared.chat import data_url
from shared.chat import messages as chat_messages
from shared.provider_metadata import mamba_metadata
from shared.streams.tool_responses import DENIED_TEXT, ToolResponse

#: Characters that OpenAI does not accept in the name of a tool.
_NOT_IN_NAMES = re.compile(r"[^a-zA-Z0-9_-]")
_TOOL_NAME_CHARS = 64


def _own_metadata(value: object) -> object:
    """Return Mamba's entry of the metadata; None if there is none that can be used."""
    return None if is_too_deep(value) else mamba_metadata(value)


def number_as_text(value: object) -> object:
    """Return an id that is a number as text."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _json_text(value: object) -> object:
    """Return an object or a list as JSON."""
    return to_json(value).decode() if isinstance(value, dict | list) else value


#: The id of a tool call. Some servers send numbers.
CallId = Annotated[str, BeforeValidator(number_as_text)]
ProviderMetadata = Annotated[dict[str, Any] | None, BeforeValidator(_own_metadata)]


class UITextPart(RequestModel):
    #: Some servers send null for a text that is empty.
    text: Annotated[str, BeforeValidator(lambda text: "" if text is None else text)]
    provider_metadata: ProviderMetadata = None

    def normalized(self) -> chat_messages.Part | None:
        """Return the text; None if it is blank, which some models do not accept."""
        if not self.text.strip():
            return None
        return chat_messages.TextPart(text=self.text, metadata=self.provider_metadata)


class UIReasoningPart(RequestModel):
    text: str = Field(validation_alias=AliasChoices("text", "reasoning"))
    provider_metadata: ProviderMetadata = None

    def normalized(self) -> chat_messages.Part | None:
        return chat_messages.ReasoningPart(text=self.text, metadata=self.provider_metadata)


class UIFilePart(RequestModel):
    #: Empty if the browser does not recognize the file extension.
    media_type: MediaType = ""
    url: FileUrl
    filename: FileName = None

    def normalized(self) -> chat_messages.FilePart:
        return file_part(self.url, self.media_type, self.filename)


def file_part(url: str, media_type: str, filename: str | None = None) -> chat_messages.FilePart:
    """Build a file. Without a media type, that of its `data:` URL counts."""
    if not media_type and url.startswith("data:"):
        media_type = data_url.media_type(url)
    return chat_messages.FilePart(media_type=media_type, url=url, filename=filename)


class Approval(RequestModel):
    approved: StrictBool | None = None
    reason: str | None = None


class UIToolPart(RequestModel):
    type: str
    tool_call_id: CallId
    tool_name: str | None = None
    state: str | None = None
    input: Nested = None
    #: What the model wrote if its input is not valid, or not complete.
    raw_input: Nested = None
    output: Nested = None
    error_text: Annotated[str | None, BeforeValidator(_json_text)] = None
    approval: Approval | None = None
    call_provider_metadata: ProviderMetadata = None

    @property
    def name(self) -> str:
        return self.tool_name or self.type.removeprefix("tool-")

    def normalized(self) -> chat_messages.Part | None:
        """Return the call with its result; None without a result, which models do not accept."""
        error = self._error()
        if self.state != "output-available" and error is None:
            return None
        return tool_part(
            self.tool_call_id,
            self.name,
            self.raw_input if self.input is None else self.input,
            output=self.output,
            error=error,
            metadata=self.call_provider_metadata,
        )

    def _error(self) -> str | None:
        if self.state == "output-error":
            return self.error_text or "The tool failed."
        denied = self.approval is not None and self.approval.approved is False
        if self.state == "output-denied" or denied:
            return (self.approval and self.approval.reason) or DENIED_TEXT
        return None

    def tool_response(self) -> ToolResponse | None:
        """Return the client's result or approval; None if the part holds neither."""
        if self.state == "approval-responded":
            approval = self.approval
            if approval is None or approval.approved is None:
                return None
            return ToolResponse(approved=approval.approved, reason=approval.reason)
        if self.state == "output-available":
            return ToolResponse(output=self.output)
        return ToolResponse(error=self._error()) if self.state == "output-error" else None

    def values(self) -> tuple[object, ...]:
        return (self.input, self.raw_input, self.output)


def tool_part(
    call_id: str,
    name: str,
    arguments: object,
    *,
    output: object,
    error: str | None,
    metadata: dict[str, Any] | None = None,
) -> chat_messages.ToolPart:
    """Build a completed call that every model accepts."""
    return chat_messages.ToolPart(
        # Some servers send calls without an id, and models do not accept an empty one.
        tool_call_id=call_id or f"call_{name}",
        tool_name=_model_tool_name(name),
        input=_tool_arguments(arguments),
        output=output,
        error_text=error,
        metadata=metadata,
    )


class UIStepStartPart(RequestModel):
    def normalized(self) -> chat_messages.Part | None:
        return chat_messages.StepStart()


class OtherPart(RequestModel):
    """A part that models do not receive."""

    type: str

    def normalized(self) -> chat_messages.Part | None:
        return None


def _model_tool_name(name: str) -> str:
    """Return a tool's name as OpenAI accepts it: other servers allow more characters."""
    return _NOT_IN_NAMES.sub("_", name)[:_TOOL_NAME_CHARS] or "tool"


def _tool_arguments(value: Any) -> dict[str, Any]:  # noqa: ANN401  (any JSON value)
    """Return the arguments of a call as an object, which models require."""
    parsed = _parsed(value) if isinstance(value, str) else value
    if isinstance(parsed, dict):
        return cast("dict[str, Any]", parsed)
    return {} if value is None else {"input": value}


def _parsed(text: str) -> object:
    try:
        value: object = from_json(text)
    except ValueError:
        return None
    return None if is_too_deep(value) else value
