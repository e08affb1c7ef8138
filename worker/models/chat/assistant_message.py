"""Converts an earlier answer to an assistant message, with the fields that its server needs.

Reasoning is sent in the field it came in. Reasoning of another provider is left out, unless the
profile names a field for it, because no field is known that the server accepts.
"""

from dataclasses import dataclass, field
from typing import Any, cast

from openai.types.chat import ChatCompletionAssistantMessageParam
from pydantic_ai.messages import TextPart, ThinkingPart, ToolCallPart
from pydantic_ai.models.openai import OpenAIChatModel

from worker.models.chat.reasoning import (
    CARRIED_FIELDS,
    CONTENT_PARTS,
    TEXT_FIELDS,
    merge_carried,
    tag_of,
)
from worker.models.chat.text_reasoning.tags import TAGS, default_tag
from worker.models.chat.tool_call_ids import MODEL_ID

#: Fields of a tool call that its extensions must not replace.
_CALL_FIELDS = ("id", "type", "function", "index", MODEL_ID)


@dataclass
class AssistantMessageMapping(OpenAIChatModel._MapModelResponseContext):  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  (meant for subclasses)
    #: Structured fields of the message.
    carried: dict[str, Any] = field(default_factory=dict[str, Any], init=False)

    def _into_message_param(self) -> ChatCompletionAssistantMessageParam | None:
        message = super()._into_message_param()
        if message is None or not self.carried:
            return message
        fields = dict(self.carried)
        if parts := fields.pop(CONTENT_PARTS, None):
            text = message.get("content")
            texts = [{"type": "text", "text": text}] if isinstance(text, str) else []
            fields["content"] = [*parts, *texts]
        return cast("ChatCompletionAssistantMessageParam", {**message, **fields})

    def _map_response_text_part(self, item: TextPart) -> None:
        super()._map_response_text_part(item)
        self._carry(item)

    def _map_response_thinking_part(self, item: ThinkingPart) -> None:
        send_back = self._model.profile.get("openai_chat_send_back_thinking_parts", "auto")
        if send_back is False:
            return
        own, custom_field = self._is_own(item), self._custom_field
        default = default_tag(self._model.profile)
        tag = tag_of(item.id, default)
        if send_back == "field" and custom_field:
            self.thinkings.setdefault(custom_field, []).append(item.content)
        elif own and send_back != "tags" and tag in TAGS and tag != default:
            self.texts.append(f"<{tag}>\n{item.content}\n</{tag}>")
        elif own and (send_back == "tags" or tag):
            self._map_response_thinking_as_text(item)
        elif own and item.id in (*TEXT_FIELDS, custom_field) and item.id:
            self.thinkings.setdefault(item.id, []).append(item.content)
        self._carry(item)

    def _map_response_tool_call_part(self, item: ToolCallPart) -> None:
        call: dict[str, Any] = {**self._model._map_tool_call(item)}  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        if self._is_own(item):
            details = item.provider_details or {}
            call |= {key: value for key, value in details.items() if key not in _CALL_FIELDS}
        self.tool_calls.append(cast("Any", call))

    def _carry(self, item: TextPart | ThinkingPart) -> None:
        if self._is_own(item) and item.provider_details:
            known = (*CARRIED_FIELDS, *TEXT_FIELDS, self._custom_field)
            fields = {key: v for key, v in item.provider_details.items() if key in known}
            self.carried = merge_carried(self.carried, fields)

    def _is_own(self, item: TextPart | ThinkingPart | ToolCallPart) -> bool:
        return item.provider_name == self._model.system

    @property
    def _custom_field(self) -> str | None:
        return self._model.profile.get("openai_chat_thinking_field")
