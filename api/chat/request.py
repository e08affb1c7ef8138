"""The body of `POST /chat`."""

from collections.abc import Iterable
from typing import Annotated, cast

from pydantic import BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from api.chat.client_tool import MAX_CLIENT_TOOLS, ClientTool
from api.chat.ids import ID_PATTERN
from api.chat.message import History, SubmittedToolResponse
from api.chat.parts.json_values import as_text, fields_of, items_of
from api.http.body_model import FAIL_FAST, Name, RequestModel
from shared.agents.agent_card import BUILT_IN_AGENTS
from shared.agents.tools import DISPLAY_TOOL_NAMES
from shared.chat import messages as chat_messages
from shared.errors import InvalidRequest

#: Only documents the known names: `display_tools` rejects others with a readable message.
_ToolName = Annotated[str, WithJsonSchema({"type": "string", "enum": list(DISPLAY_TOOL_NAMES)})]
_ToolNames = Annotated[list[_ToolName], FAIL_FAST]


def _no_tools(value: object) -> object:
    """Treat `{}` as no tools: some clients send tools as a map."""
    if not isinstance(value, dict):
        return value
    if value:
        raise PydanticCustomError(
            "tools",
            "Must be a list of names. Send tools that the client executes as `clientTools`",
        )
    return None


def _joined_texts(value: object) -> object:
    """Return a system message that is a list of texts, as Anthropic accepts, as one text."""
    if not isinstance(value, list):
        return value
    items = items_of(cast("object", value))
    is_texts = all(isinstance(item, str) or "text" in fields_of(item) for item in items)
    return as_text(items) if is_texts else cast("object", value)


class ChatRequest(RequestModel):
    id: str | None = Field(
        default=None,
        min_length=1,
        description="The id of the chat",
        json_schema_extra={"pattern": ID_PATTERN},
    )
    messages: History = Field(min_length=1, description="The whole history, oldest message first")
    model: Name | None = Field(
        default=None, description="The model, as `provider/model` or as a bare name"
    )
    agent: Name | None = Field(
        default=None,
        description="The agent that answers, one of `GET /agents`. Default: `chat`",
        examples=[agent.name for agent in BUILT_IN_AGENTS],
    )
    system: Annotated[str | None, BeforeValidator(_joined_texts)] = Field(
        default=None, description="A system message before `messages`", examples=["Be brief."]
    )
    tools: Annotated[_ToolNames | None, BeforeValidator(_no_tools)] = Field(
        default=None,
        description="Names of the display tools to enable. Agents without display tools ignore it",
    )
    client_tools: Annotated[list[ClientTool], FAIL_FAST] | None = Field(
        default=None,
        max_length=MAX_CLIENT_TOOLS,
        description="Tools that the client executes: it receives their calls and sends the results",
    )
    sdk_version: int | None = Field(
        default=None,
        ge=4,
        le=99,
        description="The major version of the AI SDK. From 6 on, tool calls can wait for the user's"
        " approval. Without it, calls that need approval are denied",
    )
    supersede: bool | None = Field(
        default=None, description="Stop the chat's live run, if any, and start a new one"
    )

    def display_tools(self) -> tuple[str, ...]:
        """Return the names in `tools` without duplicates.

        Raises:
            InvalidRequest: if a name is unknown.
        """
        for index, name in enumerate(self.tools or ()):
            if name not in DISPLAY_TOOL_NAMES:
                field = f"tools[{index}]"
                known = ", ".join(DISPLAY_TOOL_NAMES)
                raise InvalidRequest(
                    f"{field}: Unknown tool. Available tools: {known}.", field=field
                )
        return tuple(dict.fromkeys(self.tools or ()))

    def history(self) -> tuple[chat_messages.Message, ...]:
        """Return the messages as workers receive them, without empty ones."""
        return self._history(message.normalized() for message in self.messages)

    def history_before(self, steps: int) -> tuple[chat_messages.Message, ...]:
        """Return the history without the last `steps` steps of its final assistant message."""
        *_, last = self.messages
        remaining = last.steps - steps
        parts: list[chat_messages.Part] = []
        for part in last.normalized().parts:
            remaining -= isinstance(part, chat_messages.StepStart)
            if remaining < 0:
                break
            parts.append(part)
        history = [message.normalized() for message in self.messages[:-1]]
        history.append(chat_messages.Message(role="assistant", parts=tuple(parts)))
        return self._history(history)

    def _history(
        self, messages: Iterable[chat_messages.Message]
    ) -> tuple[chat_messages.Message, ...]:
        """Return the messages that are not empty, after the system message."""
        text = self.system or ""
        system = [chat_messages.TextPart(text=text)] if text.strip() else []
        first = chat_messages.Message(role="system", parts=tuple(system))
        return tuple(message for message in (first, *messages) if message.parts)

    @property
    def supports_approvals(self) -> bool:
        """Whether the client can request its user's approval of a tool call."""
        return (self.sdk_version or 0) >= 6

    def tool_responses(self) -> list[SubmittedToolResponse]:
        """Return the tool responses in the last step of the last message.

        Empty unless the assistant sent the last message.
        """
        last = self.messages[-1]
        if last.role != "assistant":
            return []
        return [*last.tool_responses()]

    @property
    def continued_message_id(self) -> str | None:
        """The id of the assistant message that this request continues."""
        last = self.messages[-1]
        return last.id if last.role == "assistant" else None
