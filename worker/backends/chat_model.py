"""pydantic-ai's model over an endpoint, which takes what its server really sends."""

from collections.abc import AsyncIterable
from dataclasses import replace

from openai import AsyncOpenAI
from openai.types.chat import ChatCompletionChunk
from pydantic_ai.exceptions import UserError
from pydantic_ai.messages import (
    AudioUrl,
    BinaryContent,
    DocumentUrl,
    ImageUrl,
    ModelMessage,
    ModelRequest,
    UserContent,
    UserPromptPart,
)
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIStreamedResponse
from pydantic_ai.profiles import ModelProfile
from pydantic_ai.providers import Provider
from pydantic_ai.settings import ModelSettings

from shared.media_types import is_text
from worker.backends.repair import repaired

_SENDABLE_AUDIO = ("audio/mpeg", "audio/wav")


class ChatModel(OpenAIChatModel):
    """Leaves tools out where the model calls none, and refuses files that it does not take.

    It keeps its endpoint alive, which closes its connections when its last model is gone.
    """

    def __init__(
        self,
        model: str,
        *,
        endpoint: object,
        provider: Provider[AsyncOpenAI],
        profile: ModelProfile,
        settings: ModelSettings | None,
    ) -> None:
        super().__init__(model, provider=provider, profile=profile, settings=settings)
        self.endpoint = endpoint

    @property
    def _streamed_response_cls(self) -> type[OpenAIStreamedResponse]:
        return _RepairedResponse

    def prepare_request(
        self,
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> tuple[ModelSettings | None, ModelRequestParameters]:
        if not self.profile.get("supports_tools", True):
            model_request_parameters = replace(model_request_parameters, function_tools=[])
        return super().prepare_request(model_settings, model_request_parameters)

    def prepare_messages(
        self,
        messages: list[ModelMessage],
        model_request_parameters: ModelRequestParameters | None = None,
    ) -> list[ModelMessage]:
        for content in _user_contents(messages):
            self._check(content)
        return super().prepare_messages(messages, model_request_parameters)

    def _check(self, content: UserContent) -> None:
        """Refuse here what the endpoint would answer with an error that nobody understands.

        And what OpenAI's format has no place for, at which pydantic-ai breaks.
        """
        if isinstance(content, BinaryContent | AudioUrl) and not _is_sendable(content):
            raise UserError("The model takes no files of this type.")
        kind = ""
        if isinstance(content, ImageUrl) or (
            isinstance(content, BinaryContent) and content.is_image
        ):
            kind = "image"
        elif isinstance(content, DocumentUrl) or (
            isinstance(content, BinaryContent) and content.is_document
        ):
            kind = "document"
        if kind and not self.profile.get(f"supports_{kind}_input", True):
            raise UserError(f"The model takes no {kind}s.")


def _is_sendable(content: BinaryContent | AudioUrl) -> bool:
    if isinstance(content, AudioUrl) or content.is_audio:
        return content.media_type in _SENDABLE_AUDIO
    return content.is_image or content.is_document or is_text(content.media_type)


class _RepairedResponse(OpenAIStreamedResponse):
    def _validate_response(self) -> AsyncIterable[ChatCompletionChunk]:
        return repaired(super()._validate_response())


def _user_contents(messages: list[ModelMessage]) -> list[UserContent]:
    return [
        content
        for message in messages
        if isinstance(message, ModelRequest)
        for part in message.parts
        if isinstance(part, UserPromptPart) and not isinstance(part.content, str)
        for content in part.content
    ]
