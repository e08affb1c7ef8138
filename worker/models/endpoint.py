"""The connections to one model endpoint, shared by all its models."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Self

import httpx2
from openai import AsyncOpenAI
from pydantic import SecretStr
from pydantic_ai.profiles import ModelProfile as PydanticProfile
from pydantic_ai.profiles import merge_profile
from pydantic_ai.providers import Provider
from pydantic_ai.providers.ollama import OllamaProvider
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.providers.openai_compatible import OpenAICompatibleProvider
from pydantic_ai.providers.vllm import VLLMProvider
from pydantic_ai.settings import ModelSettings

from shared.settings import ModelPriceSettings
from shared.settings.sections.models import Kind
from worker.models.chat.chat_model import ChatModel
from worker.models.endpoint_errors import ModelBackendError, map_errors
from worker.models.openai_client import NO_KEY, open_client
from worker.models.profiles.profile_settings import default_profile
from worker.models.transport.completion import check_completion, parse_json
from worker.models.transport.error_texts import Reason
from worker.models.transport.model_list import ModelIds, parse_model_list

#: Reasons for which no chat request can succeed. Others have the empty request as their cause.
_NO_CHAT_REASONS: frozenset[Reason] = frozenset(
    {"authentication", "endpoint", "not_a_completion", "redirect", "too_large"}
)


class Endpoint:
    """One server, used with one key.

    Timeouts are in seconds. `timeout` limits the silence on a connection; None is no limit.
    """

    def __init__(
        self,
        name: str,
        base_url: str,
        *,
        kind: Kind = "compatible",
        api_key: SecretStr | None = None,
        headers: Mapping[str, SecretStr] | None = None,
        timeout: float | None = 60.0,
        connect_timeout: float = 5.0,
    ) -> None:
        self.name = name
        self.base_url = base_url
        key = api_key.get_secret_value() if api_key else None
        header_values = {
            header: value.get_secret_value() for header, value in (headers or {}).items()
        }
        self.secrets = _Secrets(key, *header_values.values())
        self.client = open_client(
            base_url,
            api_key=key,
            headers=header_values,
            timeout=timeout,
            connect_timeout=connect_timeout,
        )
        self._kind: Kind = kind
        self._provider = _provider(name, kind, self.client)

    def __repr__(self) -> str:
        return f"Endpoint({self.name!r}, {self.base_url!r})"

    def chat_model(
        self,
        model: str,
        *,
        profile: PydanticProfile | None = None,
        settings: ModelSettings | None = None,
        price: ModelPriceSettings | None = None,
    ) -> ChatModel:
        """Create a pydantic-ai model of this endpoint.

        `profile` overrides the capabilities derived from the server and the model's name, `price`
        the public price of the model.
        """
        return ChatModel(
            model,
            endpoint=self,
            name=f"{self.name}/{model}",
            provider=self._provider,
            profile=merge_profile(default_profile(self._kind, model), profile),
            settings=settings,
            price=price,
        )

    async def models(self, *, timeout: float) -> ModelIds:
        """Request the ids of the endpoint's models.

        Raises:
            ModelBackendError: if the request fails, takes longer than `timeout` seconds, or returns
                something else than a list of models.
        """
        with self.map_errors():
            response = await self.client.get(
                "models", cast_to=httpx2.Response, options={"timeout": timeout}
            )
            return parse_model_list(response.content, response.headers.get("content-type"))

    async def check_chat_path(self, *, timeout: float) -> None:
        """Check that chat requests reach a server, with an empty one that uses no tokens.

        Raises:
            ModelBackendError: if the server does not respond, has nothing at the path, or rejects
                the credentials.
        """
        try:
            with self.map_errors():
                response = await self.client.post(
                    "chat/completions",
                    cast_to=httpx2.Response,
                    body={},
                    options={"timeout": timeout},
                )
                content_type = response.headers.get("content-type")
                check_completion(parse_json(response.content), content_type)
        except ModelBackendError as error:
            if error.upstream is None or error.upstream.reason in _NO_CHAT_REASONS:
                raise

    def map_errors(self, model: str | None = None) -> AbstractContextManager[None]:
        """Convert the client's errors to ModelBackendError, without the endpoint's secrets."""
        return map_errors(model, secrets=tuple(self.secrets))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    async def close(self) -> None:
        await self.client.close()


class _Secrets(tuple[str, ...]):
    """Values that must not appear in messages or in a `repr`."""

    __slots__ = ()

    def __new__(cls, *values: str | None) -> Self:
        return super().__new__(cls, (v for v in values if v and v != NO_KEY))

    def __repr__(self) -> str:
        return f"<{len(self)} secrets>"


def _provider(name: str, kind: Kind, client: AsyncOpenAI) -> Provider[AsyncOpenAI]:
    match kind:
        case "openai":
            return OpenAIProvider(openai_client=client)
        case "ollama":
            return OllamaProvider(openai_client=client)
        case "vllm":
            return VLLMProvider(openai_client=client)
        case _:
            return OpenAICompatibleProvider(name, openai_client=client)
