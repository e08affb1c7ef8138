"""Tool calls and their results as separate parts, as other APIs send them.

OpenAI sends calls as `tool_calls` and each result as a message with the role `tool`. The AI SDK's
model messages and Anthropic send both as parts. `api/chat/history_repair.py` joins them.
"""

from typing import Any, Self, cast

from pydantic import (
    AliasChoices,
    Field,
    ModelWrapValidatorHandler,
    PrivateAttr,
    model_validator,
)
from pydantic_core import to_json

from api.chat.parts.ai_sdk import CallId, tool_part
from api.chat.parts.json_values import fields_of, text_with_notes
from api.http.body_model import Nested, RequestModel
from shared.chat import messages
from shared.streams.tool_responses import DENIED_TEXT


class SeparateResult(RequestModel):
    """The result of a tool call: `tool-result` of the AI SDK, `tool_result` of Anthropic."""

    call_id: CallId = Field(
        validation_alias=AliasChoices("tool_call_id", "toolCallId", "tool_use_id")
    )
    output: Nested = Field(None, description="AI SDK 5 to 7")
    result: Nested = Field(None, description="AI SDK 4")
    content: Nested = Field(None, description="OpenAI and Anthropic")
    is_error: Any = Field(None, validation_alias=AliasChoices("is_error", "isError"))

    def normalized(self) -> messages.Part | None:
        """End the step in which the result is known. The call contains the result itself."""
        return messages.StepStart()

    def outcome(self) -> tuple[object, str | None]:
        """Return the output, and the text of an error."""
        output, failed = self._output()
        if not failed and self.is_error is not True:
            return output, None
        text = output if isinstance(output, str) else to_json(output).decode()
        return None, text or "The tool failed."

    def values(self) -> tuple[object, ...]:
        return (self.output, self.result, self.content)

    def _output(self) -> tuple[object, bool]:
        """Return the output, and whether it is an error."""
        output: object = self.output
        if output is None:
            return (text_with_notes(self.content) if self.result is None else self.result), False
        return _untyped(output)


class SeparateCall(RequestModel):
    """A tool call without its result: `tool-call` of the AI SDK, `tool_use` of Anthropic."""

    call_id: CallId = Field(validation_alias=AliasChoices("id", "toolCallId"))
    name: str = Field(validation_alias=AliasChoices("name", "toolName"))
    arguments: Nested = Field(None, validation_alias=AliasChoices("input", "args", "arguments"))
    _result: SeparateResult | None = PrivateAttr(None)

    @model_validator(mode="wrap")
    @classmethod
    def _read_own_result(cls, value: object, validate: ModelWrapValidatorHandler[Self]) -> Self:
        """Complete the call with the result in the same part, as assistant-ui sends it."""
        call = validate(value)
        if isinstance(value, dict) and "result" in value:
            call.complete(SeparateResult.model_validate(value))
        return call

    @property
    def has_result(self) -> bool:
        return self._result is not None

    def complete(self, result: SeparateResult) -> None:
        self._result = result

    def normalized(self) -> messages.Part | None:
        """Return the call with its result; None without a result, which models do not accept."""
        if self._result is None:
            return None
        output, error = self._result.outcome()
        return tool_part(self.call_id, self.name, self.arguments, output=output, error=error)

    def values(self) -> tuple[object, ...]:
        return (self.arguments, *(self._result.values() if self._result else ()))


class Function(RequestModel):
    name: str
    arguments: Nested = Field(None, validation_alias=AliasChoices("arguments", "input", "args"))


class FunctionCall(RequestModel):
    """A tool call of OpenAI or LangChain, beside the content of its message."""

    call_id: CallId = Field(alias="id")
    function: Function = Field(validation_alias=AliasChoices("function", "custom"))

    @model_validator(mode="before")
    @classmethod
    def _nest_function(cls, value: object) -> object:
        """Nest the name and the arguments, which LangChain sends beside the id."""
        if not isinstance(value, dict):
            return value
        fields = cast("dict[str, Any]", value)
        is_flat = "name" in fields and not fields.keys() & {"function", "custom"}
        call = {**fields, "function": fields} if is_flat else fields
        if call.get("id") is not None:
            return call
        # The results of Ollama's calls, which have no ids, refer to the name of the function.
        return {**call, "id": fields_of(call.get("function")).get("name")}

    def as_separate(self) -> SeparateCall:
        return SeparateCall.model_construct(
            call_id=self.call_id, name=self.function.name, arguments=self.function.arguments
        )


def _untyped(output: object) -> tuple[object, bool]:
    """Return the value of an output of the AI SDK 5 to 7, and whether its type marks an error.

    Other outputs are returned unchanged.
    """
    fields = cast("dict[str, Any]", output) if isinstance(output, dict) else None
    match fields:
        case {"type": "text" | "json", "value": value}:
            return value, False
        case {"type": "error-text" | "error-json", "value": value}:
            return value, True
        case {"type": "execution-denied"}:
            reason = fields.get("reason")
            return reason if isinstance(reason, str) else DENIED_TEXT, True
        case {"type": "content", "value": value}:
            return text_with_notes(value), False
        case _:
            return cast("object", output), False
