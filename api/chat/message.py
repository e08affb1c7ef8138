"""Chat messages as clients send them: those of the AI SDK 4 to 7, and plain `content`.

Unknown keys are ignored. A part or a message with an invalid value is kept as an `UnusablePart`.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import (
    AliasChoices,
    BeforeValidator,
    Discriminator,
    Field,
    ModelWrapValidatorHandler,
    PrivateAttr,
    Tag,
    ValidationError,
    ValidationInfo,
    WrapValidator,
    model_validator,
)

from api.chat.parts.ai_sdk import (
    CallId,
    OtherPart,
    UIStepStartPart,
    UITextPart,
    UIToolPart,
    number_as_text,
)
from api.chat.parts.ai_sdk_v4 import Invocation, ToolInvocation
from api.chat.parts.message_fields import attachment_paths, convert_message
from api.chat.parts.part import (
    FILE_PARTS,
    Attachments,
    FunctionCalls,
    Invocations,
    Parts,
    is_for_clients,
)
from api.chat.parts.steering import split_messages
from api.chat.parts.unusable import KEEP_FIELD_ERROR, TAG_PREFIX, UnusablePart, unusable_message
from api.http.body_model import FAIL_FAST, RequestModel, limits_of, max_items
from shared.chat import messages as chat_messages
from shared.streams.tool_responses import ToolResponse

Role = Literal["system", "user", "assistant", "tool"]
#: Parts whose loss matters only to the client if they are in an assistant message.
_NOT_FOR_MODELS = frozenset({"file", "reasoning"})


def _message_id(value: object) -> object:
    """Return an id as text. Other values are ignored, because older ids are optional."""
    text = number_as_text(value)
    return text if isinstance(text, str) else None


_Content = Annotated[
    Annotated[str, Tag(f"{TAG_PREFIX}text")] | Annotated[Parts, Tag(f"{TAG_PREFIX}parts")],
    Discriminator(
        lambda value: f"{TAG_PREFIX}parts" if isinstance(value, list) else f"{TAG_PREFIX}text"
    ),
    KEEP_FIELD_ERROR,
]


class SubmittedToolResponse(NamedTuple):
    """A tool response, with its call and the path of its field."""

    field_path: str
    call_id: str
    tool_name: str
    response: ToolResponse


class LocatedPart(NamedTuple):
    """A part of a message, in the list that holds it."""

    field: str
    parts: list[Any]
    position: int
    #: The path of the part in the client's message.
    item_path: str

    @property
    def part(self) -> Any:  # noqa: ANN401  (any part)
        return self.parts[self.position]

    @property
    def path(self) -> str:
        """The part's path in its message; "" if it stands for the whole message."""
        scope = self.part.scope if isinstance(self.part, UnusablePart) else "part"
        return {"part": self.item_path, "field": self.field, "message": ""}[scope]

    def replace(self, part: UnusablePart) -> None:
        self.parts[self.position] = part


class UIMessage(RequestModel):
    """A message with the AI SDK's `parts`, or with plain `content`.

    Before version 4.2 of the AI SDK, tool calls were sent beside the content.
    """

    id: Annotated[str | None, BeforeValidator(_message_id)] = None
    role: Role
    content: _Content | None = None
    parts: Parts | None = None
    tool_invocations: Invocations | None = Field(
        default=None, description="Tool calls of the AI SDK 4; ignored if `parts` is set"
    )
    experimental_attachments: Attachments | None = Field(
        default=None, alias="experimental_attachments", description="Files of the AI SDK 4"
    )
    attachments: Parts | None = Field(
        default=None, description="Files of assistant-ui; ignored if `parts` is set"
    )
    tool_calls: FunctionCalls | None = Field(
        default=None,
        validation_alias=AliasChoices("tool_calls", "toolCalls"),
        description="Tool calls in OpenAI's format; the results are messages with the role `tool`",
    )
    tool_call_id: CallId | None = Field(
        default=None,
        validation_alias=AliasChoices("tool_call_id", "toolCallId"),
        description="In a message with the role `tool`: the call whose result is in `content`",
    )
    _path: str = PrivateAttr("")
    #: Paths of the parts of a field, if they differ from their positions in its list.
    _part_paths: dict[str, list[str]] = PrivateAttr(default_factory=dict[str, list[str]])

    @model_validator(mode="wrap")
    @classmethod
    def _convert_fields(
        cls, value: object, validate: ModelWrapValidatorHandler[Self], info: ValidationInfo
    ) -> Self:
        max_parts = limits_of(info).parts
        message = validate(convert_message(value, max_parts))
        message._part_paths["attachments"] = attachment_paths(value, max_parts)  # noqa: SLF001
        return message

    @property
    def path(self) -> str:
        """The path of the message in the client's request."""
        return self._path

    def locate(self, path: str, first_part: int = 0) -> None:
        """Set the path of the message, and the client's index of the first of its `parts`."""
        self._path = path
        count = len(self.parts or ()) if first_part else 0
        self._part_paths["parts"] = [f"parts[{first_part + index}]" for index in range(count)]

    @classmethod
    def unusable(cls, value: object, error: ValidationError) -> Self:
        """Return a message that stands for an invalid one."""
        return cls.model_construct(role="user", parts=[unusable_message(value, error)])

    def located_parts(self) -> Iterator[LocatedPart]:
        """Yield the parts in the order in which models receive them."""
        lists = {
            "experimental_attachments": self._ai_sdk_v4_attachments,
            "toolInvocations": self._invocations,
            "parts" if self.parts else "content": self._content_parts,
            "attachments": self._assistant_ui_attachments,
            "tool_calls": self._calls,
        }
        part_paths = self._part_paths  # pydantic takes 1 µs to return a private attribute
        for field, parts in lists.items():
            paths = part_paths.get(field, ())
            for index in range(len(parts)):
                path = paths[index] if index < len(paths) else f"{field}[{index}]"
                yield LocatedPart(field, parts, index, path)

    def file_parts(self) -> Iterator[LocatedPart]:
        """Yield the files of a user's message."""
        if self.role == "user":
            yield from (part for part in self.located_parts() if isinstance(part.part, FILE_PARTS))

    def texts(self) -> chat_messages.Message:
        """Return the message without anything but its texts."""
        parts = (part.normalized() for part in self._content_parts if isinstance(part, UITextPart))
        return chat_messages.Message(
            role=self._model_role, parts=tuple(part for part in parts if part is not None)
        )

    def normalized(self) -> chat_messages.Message:
        """Return the message in the form that workers receive."""
        beside = [*self._ai_sdk_v4_attachments, *self._invocations]
        before = [part for part in beside if not isinstance(part, Invocation)]
        calls = _calls_beside_content(part for part in beside if isinstance(part, Invocation))
        content = [*self._content_parts, *self._assistant_ui_attachments, *self._calls]
        parts = (*self._convert(before), *calls, *self._convert(content))
        if self.role != "assistant":
            parts = tuple(part for part in parts if not isinstance(part, chat_messages.StepStart))
        return chat_messages.Message(id=self.id, role=self._model_role, parts=parts)

    @property
    def steps(self) -> int:
        """The number of steps in the message."""
        return sum(isinstance(part, UIStepStartPart) for part in self._content_parts)

    def tool_responses(self) -> Iterator[SubmittedToolResponse]:
        """Yield the client's responses to the tool calls of the last step."""
        for path, call in self.last_step_calls():
            if isinstance(call, UnusablePart):
                continue
            if (response := call.tool_response()) is not None:
                field_path = f"{self.path}.{path}"
                yield SubmittedToolResponse(field_path, call.tool_call_id, call.name, response)

    def last_step_calls(self) -> Iterator[tuple[str, UIToolPart | Invocation | UnusablePart]]:
        """Yield the tool calls of the last step, with those that cannot be used."""
        step_starts = [
            index
            for index, part in enumerate(self._content_parts)
            if isinstance(part, UIStepStartPart)
        ]
        last_step = max(
            (call.step for call in self._invocations if isinstance(call, Invocation)), default=0
        )
        for located in self.located_parts():
            call = located.part
            if isinstance(call, ToolInvocation):
                call = call.tool_invocation
            if located.field == "toolInvocations":
                newest = isinstance(call, UnusablePart) or call.step == last_step
            else:
                newest = located.position >= max(step_starts, default=0)
            if newest and _is_call(call):
                yield located.path, call

    def unusable_parts(self) -> Iterator[UnusablePart]:
        for located in self.located_parts():
            if isinstance(located.part, UnusablePart):
                yield located.part

    def check_new_parts(self) -> None:
        """Refuse the first new part that cannot be used.

        Raises:
            InvalidRequest: with the path of the part.
        """
        for path, part in self._new_parts():
            if isinstance(part, UnusablePart):
                raise part.error(f"{self.path}.{path}" if path else self.path)

    def _new_parts(self) -> Iterator[tuple[str, object]]:
        """Yield the parts that are new if the message is the last one, each with its path.

        Of an assistant message, the client adds only responses to the tool calls of its last step.
        """
        if self.role == "assistant":
            yield from self.last_step_calls()
            return
        for located in self.located_parts():
            part = located.part
            yield located.path, _unsupported(part) if _is_unknown(part) else part

    def _convert(self, parts: Sequence[Any]) -> Iterator[chat_messages.Part]:
        notes: set[chat_messages.Part] = set()
        for part in parts:
            if isinstance(part, UnusablePart | OtherPart):
                note = self._note(part)
                if note is not None and note not in notes:
                    notes.add(note)
                    yield note
            elif (converted := part.normalized()) is not None:
                yield converted

    def _note(self, part: UnusablePart | OtherPart) -> chat_messages.Part | None:
        """Return a note about a part that is left out; None if the model needs none."""
        if isinstance(part, UnusablePart):
            needless = self.role == "assistant" and part.type in _NOT_FOR_MODELS
            return None if needless else part.normalized()
        unknown = self.role != "assistant" and _is_unknown(part)
        return _unsupported(part).normalized() if unknown else None

    @property
    def _model_role(self) -> chat_messages.Role:
        """The role of what remains of the message; tool results become parts of their calls."""
        return "user" if self.role == "tool" else self.role

    @property
    def _content_parts(self) -> list[Any]:
        content = self.parts or self.content or []
        return [UITextPart(text=content)] if isinstance(content, str) else content

    @property
    def _ai_sdk_v4_attachments(self) -> list[Any]:
        return self.experimental_attachments or []

    # `parts` replaces the following fields.
    @property
    def _assistant_ui_attachments(self) -> list[Any]:
        return [] if self.parts else self.attachments or []

    @property
    def _invocations(self) -> list[Any]:
        return [] if self.parts else self.tool_invocations or []

    @property
    def _calls(self) -> list[Any]:
        return [] if self.parts else self.tool_calls or []


def _calls_beside_content(calls: Iterable[Invocation]) -> Iterator[chat_messages.Part]:
    """Yield the tool calls beside the content, step by step. They precede its text."""
    for _, step in groupby(sorted(calls, key=_step), key=_step):
        converted = [part for call in step if (part := call.normalized()) is not None]
        yield from (*converted, chat_messages.StepStart()) if converted else ()


def _step(call: Invocation) -> int:
    return call.step


def _is_call(part: object) -> bool:
    if isinstance(part, UnusablePart):
        return part.type.startswith("tool-") or part.type in ("dynamic-tool", "")
    return isinstance(part, UIToolPart | Invocation)


def _is_unknown(part: object) -> bool:
    return isinstance(part, OtherPart) and not is_for_clients(part)


def _unsupported(part: OtherPart) -> UnusablePart:
    reason = "Parts of this type are not supported. Send text and files."
    return UnusablePart(type=part.type, reason=reason)


def _keep_message_error(value: object, validate: Callable[[object], UIMessage]) -> UIMessage:
    try:
        return validate(value)
    except ValidationError as error:
        return UIMessage.unusable(value, error)


#: A message of a history. One that is invalid becomes a message with an `UnusablePart`.
HistoryMessage = Annotated[UIMessage, WrapValidator(_keep_message_error)]


def _split_history(value: object, validate: Callable[[object], list[UIMessage]]) -> list[UIMessage]:
    """Validate messages after separating steering messages; keep the paths of the client."""
    pieces = split_messages(value)
    if pieces is None:
        return validate(value)
    messages = validate([piece.message for piece in pieces])
    for message, piece in zip(messages, pieces, strict=True):
        message.locate(piece.path, piece.first_part)
    return messages


#: The messages of a chat.
History = Annotated[
    list[HistoryMessage], FAIL_FAST, WrapValidator(_split_history), max_items("messages")
]
