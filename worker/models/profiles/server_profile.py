"""What the models of a server support, by the kind of the server.

pydantic-ai has profiles for the models of most hosted servers. This module adds the others.
"""

from collections.abc import Callable, Mapping

from pydantic_ai.profiles import ModelProfile as PydanticProfile
from pydantic_ai.profiles import merge_profile
from pydantic_ai.profiles.google import google_model_profile
from pydantic_ai.profiles.grok import grok_model_profile
from pydantic_ai.profiles.mistral import mistral_model_profile
from pydantic_ai.profiles.openai import OpenAIJsonSchemaTransformer, OpenAIModelProfile
from pydantic_ai.providers.alibaba import AlibabaProvider
from pydantic_ai.providers.azure import AzureProvider
from pydantic_ai.providers.cerebras import CerebrasProvider
from pydantic_ai.providers.deepseek import DeepSeekProvider
from pydantic_ai.providers.fireworks import FireworksProvider
from pydantic_ai.providers.moonshotai import MoonshotAIProvider
from pydantic_ai.providers.ollama import OllamaProvider
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.providers.openai_compatible import OpenAICompatibleProvider
from pydantic_ai.providers.openrouter import OpenRouterProvider
from pydantic_ai.providers.together import TogetherProvider
from pydantic_ai.providers.vllm import VLLMProvider
from pydantic_ai.providers.zai import ZaiProvider

from shared.settings.sections.models import Kind

ModelFamilies = Callable[[str], PydanticProfile | None]


class ExtendedProfile(OpenAIModelProfile, total=False):
    """A profile with fields that pydantic-ai lacks. A missing field means True, unless stated."""

    #: Whether user and assistant messages must alternate. Default: False.
    mamba_alternating_roles: bool
    #: Whether `stream_options` is accepted.
    mamba_stream_usage: bool
    #: Whether `tool_choice` is accepted at all.
    mamba_tool_choice: bool
    #: The value of `parallel_tool_calls`. Default: not sent.
    mamba_parallel_tool_calls: bool


#: Safe for any server. Chat templates often reject consecutive messages of one role, a second
#: system message, and system messages after others.
_UNKNOWN = ExtendedProfile(
    mamba_alternating_roles=True,
    openai_chat_supports_multiple_system_messages=False,
    supports_inline_system_prompts=False,
)
#: Servers that render conversations with the model's chat template.
_TEMPLATES: ExtendedProfile = {
    **_UNKNOWN,
    "openai_chat_supports_document_input": False,
}
#: Such servers without the newer request fields of OpenAI.
_OLDER_FIELDS: ExtendedProfile = {
    **_TEMPLATES,
    "openai_chat_supports_max_completion_tokens": False,
    "openai_supports_strict_tool_definition": False,
}
_HOSTED = ExtendedProfile(mamba_alternating_roles=True, openai_chat_supports_document_input=False)

_SERVERS: Mapping[Kind, ExtendedProfile] = {
    "openai": ExtendedProfile(),
    "azure": ExtendedProfile(),
    "anthropic": {
        **_HOSTED,
        "openai_supports_strict_tool_definition": False,
        "openai_chat_supports_multiple_system_messages": False,
    },
    "gemini": {
        **_HOSTED,
        "openai_supports_strict_tool_definition": False,
        "openai_chat_supports_multiple_system_messages": False,
    },
    "mistral": {
        **_HOSTED,
        "mamba_stream_usage": False,  # the usage is always sent
        "openai_chat_supports_max_completion_tokens": False,
    },
    "openrouter": ExtendedProfile(
        mamba_alternating_roles=True,
        # pydantic-ai's value fits only its own OpenRouter model.
        openai_chat_send_back_thinking_parts="auto",
        supports_inline_system_prompts=False,
    ),
    "vllm": _TEMPLATES,
    "sglang": _TEMPLATES,
    "ollama": _OLDER_FIELDS,
    "lmstudio": _OLDER_FIELDS,
    "llamacpp": _OLDER_FIELDS,
    "tgi": _OLDER_FIELDS,
    "compatible": _UNKNOWN,
    "litellm": _UNKNOWN,
}


def server_profile(kind: Kind) -> ExtendedProfile:
    """Return what applies to all models of a server, in addition to `model_families`."""
    return _SERVERS.get(kind, _HOSTED)


def model_families(kind: Kind) -> ModelFamilies:
    """Return the function that maps the names of a server's models to their profiles."""
    return _FAMILIES.get(kind, OpenAICompatibleProvider.model_profile)


def _openrouter(model: str) -> PydanticProfile | None:
    """pydantic-ai raises an error for names without a vendor."""
    return (OpenRouterProvider if "/" in model else OpenAICompatibleProvider).model_profile(model)


def _converted(families: ModelFamilies) -> ModelFamilies:
    """Use the JSON Schema conversion of OpenAI's format for families with a separate API."""

    def profile(model: str) -> PydanticProfile:
        return merge_profile(
            families(model), PydanticProfile(json_schema_transformer=OpenAIJsonSchemaTransformer)
        )

    return profile


_FAMILIES: Mapping[Kind, ModelFamilies] = {
    "openai": OpenAIProvider.model_profile,
    "azure": AzureProvider.model_profile,
    "cerebras": CerebrasProvider.model_profile,
    "deepseek": DeepSeekProvider.model_profile,
    "fireworks": FireworksProvider.model_profile,
    "gemini": _converted(google_model_profile),
    "mistral": _converted(mistral_model_profile),
    "moonshot": MoonshotAIProvider.model_profile,
    "ollama": OllamaProvider.model_profile,
    "openrouter": _openrouter,
    "qwen": AlibabaProvider.model_profile,
    "sglang": VLLMProvider.model_profile,
    "together": TogetherProvider.model_profile,
    "vllm": VLLMProvider.model_profile,
    "xai": _converted(grok_model_profile),
    "zai": ZaiProvider.model_profile,
}
