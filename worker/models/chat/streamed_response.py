"""Reads a repaired stream into the parts of a response."""

from collections.abc import AsyncIterator, Collection, Hashable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from openai.types.chat import ChatCompletionChunk
from openai.types.chat.chat_completion_chunk import Choice, ChoiceDeltaToolCall
from pydantic_ai.messages import (
    ModelResponse,
    ModelResponseStreamEvent,
    PartStartEvent,
    TextPart,
)
from pydantic_ai.models.openai import OpenAIStreamedResponse
from pydantic_ai.usage import RequestUsage

from shared.settings import ModelPriceSettings
from shared.surrogates import replace_lone_surrogates
from worker.models.chat.extras import AnswerExtras
from worker.models.chat.reasoning import (
    TAG_FIELD,
    TAGGED_FIELD,
    carried_in,
    merge_carried,
    reasoning_in,
    tagged_id,
)
from worker.models.chat.stream_repair import repair_stream
from worker.models.chat.surrogates import SurrogateJoiner
from worker.models.chat.text_reasoning.tags import default_tag
from worker.models.chat.tool_call_ids import MODEL_ID, unique_id


@dataclass
class RepairedResponse(OpenAIStreamedResponse):
    """Keeps what the next request must contain: reasoning with its field, and extensions.

    A part's `provider_details` hold the structured fields of the answer or of the tool call.
    """

    #: The price of the model, if the settings contain one.
    price: ModelPriceSettings | None = field(default=None, init=False)
    #: The ids of the tool calls in the conversation.
    used_call_ids: set[str] = field(default_factory=set[str], init=False)
    #: The model's ids for the calls of this response, by index.
    _call_ids: dict[int, str | None] = field(default_factory=dict[int, "str | None"], init=False)
    #: The structured fields of the parts.
    _carried: dict[Hashable, dict[str, Any]] = field(
        default_factory=dict[Hashable, dict[str, Any]], init=False
    )
    _reasoning_text: SurrogateJoiner = field(default_factory=SurrogateJoiner, init=False)
    _extras: AnswerExtras = field(default_factory=AnswerExtras, init=False)
    _reasoning_name: str | None = field(default=None, init=False)

    def use_call_ids(self, ids: Collection[str]) -> None:
        self.used_call_ids.update(ids)

    async def _validate_response(self) -> AsyncIterator[ChatCompletionChunk]:
        chunks = super()._validate_response()
        async for chunk in repair_stream(chunks, default_tag(self._model_profile)):
            self._extras.add(chunk)
            yield chunk
        self._extras.log_left_out()

    def get(self) -> ModelResponse:
        response = super().get()
        if details := self._extras.details():
            response.provider_details = {**(response.provider_details or {}), **details}
        apply_price(response, self.price)
        return response

    def _add_usage(
        self,
        usage: RequestUsage,
        *,
        reported: bool,
        cumulative: bool = False,  # noqa: ARG002  (the repaired counts always are)
    ) -> None:
        if reported:
            super()._add_usage(usage, reported=True, cumulative=True)

    def _map_thinking_delta(self, choice: Choice) -> Iterator[ModelResponseStreamEvent]:
        delta = choice.delta.model_extra
        if not delta:
            return
        custom_field = self._model_profile.get("openai_chat_thinking_field")
        if isinstance(tagged := delta.get(TAGGED_FIELD), str):
            name, text = tagged_id(str(delta.get(TAG_FIELD, ""))), tagged
        else:
            name, text = reasoning_in(delta, custom_field)
        carried = replace_lone_surrogates(carried_in(delta, custom_field))
        text = self._reasoning_text.join(text)
        if text:
            yield from self._add_reasoning(name, text, carried)
        elif carried:
            yield from self._add_carried(carried)

    def _add_carried(self, carried: dict[str, Any]) -> Iterator[ModelResponseStreamEvent]:
        """Add structured fields without text to the current text or reasoning, or as a part."""
        key = ("content", self._content_generation)
        if isinstance(self._parts_manager.get_part_by_vendor_id(key), TextPart):
            yield from self._parts_manager.handle_text_delta(
                vendor_part_id=key,
                content="",
                provider_name=self.provider_name,
                provider_details=self._merge(key, carried),
            )
        else:
            yield from self._add_reasoning(self._reasoning_name, "", carried)

    def _add_reasoning(
        self, name: str | None, text: str, carried: dict[str, Any]
    ) -> Iterator[ModelResponseStreamEvent]:
        self._reasoning_name = name
        key = ("reasoning", name, self._reasoning_generation)
        for event in self._parts_manager.handle_thinking_delta(
            vendor_part_id=key,
            id=name,
            content=text,
            provider_name=self.provider_name,
            provider_details=self._merge(key, carried) if carried else None,
        ):
            if isinstance(event, PartStartEvent):
                self._advance_part_boundary("reasoning")
            yield event

    def _merge(self, key: Hashable, carried: dict[str, Any]) -> dict[str, Any]:
        """Add structured fields to those of a part."""
        merged = self._carried[key] = merge_carried(self._carried.get(key), carried)
        return merged

    def _map_tool_call_delta(self, choice: Choice) -> Iterator[ModelResponseStreamEvent]:
        for call in choice.delta.tool_calls or ():
            call_id, details = self._identify(call)
            for event in self._parts_manager.handle_tool_call_delta_events(
                vendor_part_id=call.index,
                tool_name=call.function.name if call.function else None,
                args=call.function.arguments if call.function else None,
                tool_call_id=call_id,
                provider_name=self.provider_name if details else None,
                provider_details=details or None,
            ):
                if isinstance(event, PartStartEvent):
                    self._advance_part_boundary("tool")
                yield event

    def _identify(self, call: ChoiceDeltaToolCall) -> tuple[str | None, dict[str, Any]]:
        """Return the id of a new call, unique in the conversation, and the call's extensions."""
        details: dict[str, Any] = replace_lone_surrogates(dict(call.model_extra or {}))
        if call.index in self._call_ids:
            if call.id and self._call_ids[call.index] is None:  # it is already shown under another
                self._call_ids[call.index] = call.id
                details[MODEL_ID] = call.id
            return None, details
        self._call_ids[call.index] = call.id
        if not call.id:
            return None, details
        call_id = unique_id(call.id, self.used_call_ids)
        self.used_call_ids.add(call_id)
        if call_id != call.id:
            details[MODEL_ID] = call.id
        return call_id, details


def apply_price(response: ModelResponse, price: ModelPriceSettings | None) -> None:
    """Set the cost of a response, if its model has a price in the settings."""
    if price is not None:
        usage = response.usage
        cost = price.cost(usage.input_tokens, usage.output_tokens)
        response.usage = replace(usage, cost=cost)
