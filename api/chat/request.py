"""The body of `POST /chat`."""

from collections.abc import Iterable, Iterator
from typing import Annotated, cast

from pydantic import BeforeValidator, Discriminator, Field, Tag, WithJsonSchema

from api.chat.client_tool import MAX_CLIENT_TOOLS, ClientTool, ClientToolBody
from api.chat.ids import ID_PATTERN
from api.chat.message import History, SubmittedToolResponse
from api.chat.parts.json_values import as_text, fields_of, items_of
from api.chat.parts.unusable import TAG_PREFIX
from api.chat.request_settings import CallSettingsFields
from api.http.body_model import FAIL_FAST, Name
from shared.agents.agent_card import BUILT_IN_AGENTS
from shared.agents.tools import DISPLAY_TOOL_NAMES, ClientToolDefinition
from shared.chat import messages as chat_messages
from shared.errors import InvalidRequest
from shared.settings import Priority, WhenBusy

#: Only documents the known names: `display_tools` rejects others with a readable message.
_ToolName = Annotated[str, WithJsonSchema({"type": "string", "enum": list(DISPLAY_TOOL_NAMES)})]
_ToolNames = Annotated[list[_ToolName], FAIL_FAST]
#: Client tools by name, as assistant-ui sends them.
_ToolMap = Annotated[dict[str, ClientToolBody], Field(max_length=MAX_CLIENT_TOOLS)]
_NAMES, _MAP = f"{TAG_PREFIX}names", f"{TAG_PREFIX}map"

#: Maximum length of the id of a user message, which is stored with its run.
_MAX_ID_CHARS = 256
#: Maximum length of the name of a model.
_MAX_NAME_CHARS = 256


def _tools_tag(value: object) -> str:
    return _MAP if isinstance(value, dict) else _NAMES


def _joined_texts(value: object) -> object:
    """Return a system message that is a list of texts, as Anthropic accepts, as one text."""
    if not isinstance(value, list):
        return value
    items = items_of(cast("object", value))
    is_texts = all(isinstance(item, str) or "text" in fields_of(item) for item in items)
    return as_text(items) if is_texts else cast("object", value)


def _text_or_none(value: object) -> object:
    return value if isinstance(value, str) else None


class ChatRequest(CallSettingsFields):
    id: str | None = Field(
        default=None,
        min_length=1,
        description="The ID of the chat",
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
    tools: (
        Annotated[
            Annotated[_ToolNames, Tag(_NAMES)] | Annotated[_ToolMap, Tag(_MAP)],
            Discriminator(_tools_tag),
        ]
        | None
    ) = Field(
        default=None,
        description="Names of the display tools to enable; agents without display tools ignore it."
        " Or client tools by name, like `clientTools`",
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
    when_busy: WhenBusy | None = Field(
        default=None,
        description="What to do if the chat has a live run: refuse the request, stop the run "
        "(`supersede`), or wait for it (`queue`). Default: the setting `chat.when_busy`",
    )
    supersede: bool | None = Field(
        default=None, description='`true` is an alias of `"whenBusy": "supersede"`'
    )
    priority: Priority | None = Field(
        default=None,
        description="`background`: the run starts after interactive runs, so it may wait for a long"
        " time. Default: that of the run that it continues, or `interactive`",
    )
    trigger: Annotated[str | None, BeforeValidator(_text_or_none)] = Field(
        default=None,
        description="The action of the user, as the AI SDK sends it",
        examples=["submit-message"],
    )
    message_id: Annotated[str | None, BeforeValidator(_text_or_none)] = Field(
        default=None, description="The message that this request replaces or continues"
    )

    def display_tools(self) -> tuple[str, ...]:
        """Return the names in `tools` without duplicates.

        Raises:
            InvalidRequest: if a name is unknown.
        """
        names = self.tools if isinstance(self.tools, list) else []
        for index, name in enumerate(names):
            if name not in DISPLAY_TOOL_NAMES:
                field = f"tools[{index}]"
                known = ", ".join(DISPLAY_TOOL_NAMES)
                raise InvalidRequest(
                    f"{field}: Unknown tool. Available tools: {known}.", field=field
                )
        return tuple(dict.fromkeys(names))

    def located_client_tools(self) -> Iterator[tuple[str, ClientToolDefinition]]:
        """Yield each client tool with the path of its name."""
        for index, tool in enumerate(self.client_tools or ()):
            yield f"clientTools[{index}].name", tool.normalized()
        by_name = self.tools if isinstance(self.tools, dict) else {}
        for name, body in by_name.items():
            yield f"tools.{name}", body.named(name)

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

    def add_other_spellings(self) -> None:
        """Also use the model of assistant-ui's `config`, which replaces a missing `model`."""
        super().add_other_spellings()
        config = fields_of((self.model_extra or {}).get("config"))
        for name in ("apiKey", "baseUrl"):
            if config.get(name) is not None:
                field = f"config.{name}"
                raise InvalidRequest(
                    f"{field}: The server selects the provider. Remove the field.", field=field
                )
        if self.model is None and isinstance(name := config.get("modelName"), str) and name:
            if len(name) > _MAX_NAME_CHARS:
                field = "config.modelName"
                raise InvalidRequest(f"{field}: At most {_MAX_NAME_CHARS} characters.", field=field)
            self.model = name

    def used_settings(self) -> Iterator[str]:
        if (self.system or "").strip():
            yield "system"
        yield from super().used_settings()

    def resolve_when_busy(self, default: WhenBusy) -> WhenBusy:
        """Return what to do if the chat has a live run.

        An edit or a new answer replaces a part of the history, so it cannot wait for the answers
        to that part: it supersedes them.

        Raises:
            InvalidRequest: if `supersede` and `whenBusy` contradict each other.
        """
        chosen = self.when_busy
        if self.supersede is not None and chosen is not None:
            if self.supersede != (chosen == "supersede"):
                raise InvalidRequest(
                    "supersede: It contradicts `whenBusy`. Send only `whenBusy`.",
                    field="supersede",
                )
        elif self.supersede:
            chosen = "supersede"
        elif self.supersede is False and default == "supersede":
            chosen = "reject"
        chosen = chosen or default
        return "supersede" if chosen == "queue" and self._replaces_history else chosen

    @property
    def _replaces_history(self) -> bool:
        is_edit = self.message_id is not None and self.messages[-1].role == "user"
        return is_edit or self.trigger == "regenerate-message"

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
    def answered_message_id(self) -> str | None:
        """The id of the user's message that this request asks to answer; None if it is long."""
        last = self.messages[-1]
        is_usable = last.role == "user" and len(last.id or "") <= _MAX_ID_CHARS
        return last.id if is_usable else None

    @property
    def continued_message_id(self) -> str | None:
        """The id of the assistant message that this request continues."""
        last = self.messages[-1]
        return last.id if last.role == "assistant" else None
