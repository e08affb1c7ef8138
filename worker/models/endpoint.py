"""The connections to one endpoint, shared by all its models."""

from collections.abc import Mapping
from typing import Self

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

from shared.settings.sections.models import Kind
from worker.models.chat_model import ChatModel
from worker.models.errors import mapped
from worker.models.openai_client import NO_KEY, open_client
from worker.models.profile import input_modalities, server_profile


class Endpoint:
    """One server and one key. Times are in seconds; `timeout` is the longest silence; None: any."""

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
        plain = {header: value.get_secret_value() for header, value in (headers or {}).items()}
        self.secrets = _Secrets(key, *plain.values())
        self.client = open_client(
            base_url,
            api_key=key,
            headers=plain,
            timeout=timeout,
            connect_timeout=connect_timeout,
        )
        self._provider = _provider(name, kind, self.client)
        self._habits = server_profile(kind)

    def __repr__(self) -> str:
        return f"Endpoint({self.name!r}, {self.base_url!r})"

    def chat_model(
        self,
        model: str,
        *,
        profile: PydanticProfile | None = None,
        settings: ModelSettings | None = None,
    ) -> ChatModel:
        """A model of this endpoint, as pydantic-ai's agents take it.

        `profile` says where it differs from what its name and its server tell.
        """
        told = merge_profile(merge_profile(self._habits, input_modalities(model)), profile)
        return ChatModel(
            model, endpoint=self, provider=self._provider, profile=told, settings=settings
        )

    async def models(self, *, timeout: float) -> tuple[str, ...]:
        """The ids of its models, as it lists them.

        Raises:
            ModelBackendError: if it does not list them in `timeout` seconds, or refuses to.
        """
        with mapped(None, secrets=tuple(self.secrets)):
            page = await self.client.models.list(timeout=timeout)
        return tuple(model.id for model in page.data)

    async def close(self) -> None:
        await self.client.close()


class _Secrets(tuple[str, ...]):
    """What may stand in no message; shows itself to nobody."""

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
