"""pydantic-ai's OpenAI chat model, adapted to servers that deviate from OpenAI's format."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, cast

from openai import AsyncOpenAI, omit
from openai.types.chat import (
    ChatCompletionContentPartParam,
    ChatCompletionMessageParam,
    ChatCompletionStreamOptionsParam,
    ChatCompletionToolChoiceOptionParam,
    ChatCompletionToolParam,
)
from pydantic_ai.exceptions import UserError
from pydantic_ai.messages import (
    AudioUrl,
    BinaryContent,
    DocumentUrl,
    ImageUrl,
    ModelMessage,
    ModelResponse,
    UserContent,
)
from pydantic_ai.models import ModelRequestParameters, StreamedResponse
from pydantic_ai.models.openai import (
    OpenAIChatModel,
    OpenAIChatModelSettings,
    OpenAIStreamedResponse,
)
from pydantic_ai.profiles import ModelProfile
from pydantic_ai.providers import Provider
from pydantic_ai.settings import ModelSettings
from pydantic_ai.tools import RunContext

from shared.chat.media_types import is_text
from shared.settings import ModelPriceSettings
from worker.models.chat.assistant_message import AssistantMessageMapping
from worker.models.chat.message_order import merge_roles, split_parallel_calls, start_with_user
from worker.models.chat.older_files import check_files
from worker.models.chat.streamed_response import RepairedResponse, apply_price
from worker.models.chat.tool_call_ids import call_ids, model_ids, restore_model_ids

#: The entry of a response's metadata with the name of the model in the settings.
ANSWERED_BY = "mamba_model"
#: Media types, besides images, that the chat completions API accepts.
_DOCUMENTS = ("application/pdf",)
_AUDIO = ("audio/wav", "audio/mpeg")


class ChatModel(OpenAIChatModel):
    """Omits tools for models without tool support, and rejects files that the model cannot take.

    It holds a reference to its endpoint: the endpoint's connections close when its last model is
    garbage collected.
    """

    def __init__(
        self,
        model: str,
        *,
        endpoint: object,
        name: str,
        provider: Provider[AsyncOpenAI],
        profile: ModelProfile,
        settings: ModelSettings | None,
        price: ModelPriceSettings | None = None,
    ) -> None:
        """`name` is the name of the model in the settings, `provider/model`.

        `price` replaces its public price.
        """
        super().__init__(model, provider=provider, profile=profile, settings=settings)
        self.endpoint = endpoint
        self.price = price
        self._name = name

    @property
    def _streamed_response_cls(self) -> type[OpenAIStreamedResponse]:
        return RepairedResponse

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        response = await super().request(messages, model_settings, model_request_parameters)
        apply_price(response, self.price)
        return response

    @asynccontextmanager
    async def request_stream(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
        run_context: RunContext[Any] | None = None,
    ) -> AsyncGenerator[StreamedResponse]:
        async with super().request_stream(
            messages, model_settings, model_request_parameters, run_context
        ) as response:
            if isinstance(response, RepairedResponse):
                response.use_call_ids(call_ids(messages))
                response.price = self.price
            response.metadata = {**(response.metadata or {}), ANSWERED_BY: self._name}
            yield response

    def _map_model_response(self, message: ModelResponse) -> ChatCompletionMessageParam | None:
        return AssistantMessageMapping(self).map_assistant_message(message)

    async def _map_messages(
        self,
        messages: Sequence[ModelMessage],
        model_request_parameters: ModelRequestParameters,
        *,
        model_settings: ModelSettings | None = None,
    ) -> list[ChatCompletionMessageParam]:
        mapped = await super()._map_messages(
            messages, model_request_parameters, model_settings=model_settings
        )
        mapped = restore_model_ids(mapped, model_ids(messages, self.system))
        if self.profile.get("mamba_parallel_tool_calls") is False:
            mapped = split_parallel_calls(mapped)
        if self.profile.get("mamba_alternating_roles"):
            mapped = merge_roles(start_with_user(mapped))
        return mapped

    def prepare_request(
        self,
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> tuple[ModelSettings | None, ModelRequestParameters]:
        if not self.profile.get("supports_tools", True):
            model_request_parameters = replace(model_request_parameters, function_tools=[])
        parallel: bool | None = self.profile.get("mamba_parallel_tool_calls")
        if parallel is not None:
            model_settings = {"parallel_tool_calls": parallel, **(model_settings or {})}
        return super().prepare_request(model_settings, model_request_parameters)

    def prepare_messages(
        self,
        messages: list[ModelMessage],
        model_request_parameters: ModelRequestParameters | None = None,
    ) -> list[ModelMessage]:
        messages = check_files(messages, self._check)
        return super().prepare_messages(messages, model_request_parameters)

    def _check(self, content: UserContent) -> None:
        """Reject unsupported content, for which endpoints return unclear errors."""
        kind = _kind(content)
        if kind == "file":
            raise UserError("The model does not accept files of this type.")
        if kind and not self.profile.get(f"supports_{kind}_input", True):
            raise UserError(f"The model does not accept {kind}s.")

    def _get_stream_options(
        self, model_settings: OpenAIChatModelSettings
    ) -> ChatCompletionStreamOptionsParam:
        if self.profile.get("mamba_stream_usage", True):
            return super()._get_stream_options(model_settings)
        return cast("ChatCompletionStreamOptionsParam", omit)

    def _get_tool_choice(
        self,
        model_settings: OpenAIChatModelSettings,
        model_request_parameters: ModelRequestParameters,
    ) -> tuple[list[ChatCompletionToolParam], ChatCompletionToolChoiceOptionParam | None]:
        tools, choice = super()._get_tool_choice(model_settings, model_request_parameters)
        return tools, choice if self.profile.get("mamba_tool_choice", True) else None

    async def _map_binary_content_item(self, item: BinaryContent) -> ChatCompletionContentPartParam:
        mapped = await super()._map_binary_content_item(item)
        if mapped["type"] == "file" and item.identifier.endswith(f".{item.format}"):
            mapped["file"]["filename"] = item.identifier
        return mapped


def _kind(content: UserContent) -> str | None:
    """Return the capability that the content requires. `file` is never supported, None always."""
    match content:
        case ImageUrl():
            return "image"
        case DocumentUrl():
            return "document"
        case AudioUrl():
            return None if content.media_type in _AUDIO else "file"
        case BinaryContent():
            return _binary_kind(content)
        case _:
            return None


def _binary_kind(content: BinaryContent) -> str | None:
    if is_text(content.media_type) or content.media_type in _AUDIO:
        return None
    if content.media_type in _DOCUMENTS:
        return "document"
    return "image" if content.is_image else "file"
