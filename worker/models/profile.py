"""What models can do: by whose server they are on, by their names, and by what the settings say.

Most of it is known to pydantic-ai, one function for each family of models. A `ModelProfile` is the
part that a caller of a backend asks for.
"""

from dataclasses import dataclass, field, replace
from typing import Any

from pydantic_ai.profiles import ModelProfile as PydanticProfile
from pydantic_ai.profiles import merge_profile
from pydantic_ai.profiles.openai import OpenAIModelProfile

from shared.settings import ModelProfileSettings
from shared.settings.sections.models import Kind


@dataclass(frozen=True)
class ModelProfile:
    """A model's abilities and limits. Lengths are in tokens, costs in USD."""

    name: str
    provider: str
    context_window: int
    max_output_tokens: int
    supports_tools: bool = True
    supports_vision: bool = False
    supports_streaming: bool = True
    default_temperature: float = 0.7
    cost_per_1k_input: float | None = None
    cost_per_1k_output: float | None = None
    extra: dict[str, Any] = field(default_factory=dict[str, Any])
    #: Whether it is told the longest answer as `max_completion_tokens`, not as `max_tokens`.
    uses_max_completion_tokens: bool = False


def _openai(name: str, window: int, output: int, cost: tuple[float, float]) -> ModelProfile:
    return ModelProfile(
        name,
        "openai",
        window,
        output,
        supports_vision=name != "gpt-3.5-turbo",
        cost_per_1k_input=cost[0],
        cost_per_1k_output=cost[1],
        uses_max_completion_tokens=True,
    )


def _local(name: str, window: int, *, tools: bool = True, vision: bool = False) -> ModelProfile:
    return ModelProfile(name, "ollama", window, 4096, supports_tools=tools, supports_vision=vision)


#: By the beginning of the name; of several that fit, the longest counts.
_PROFILES = {
    profile.name: profile
    for profile in (
        _openai("gpt-5", 400_000, 128_000, (0.00125, 0.01)),
        _openai("gpt-5-mini", 400_000, 128_000, (0.00025, 0.002)),
        _openai("gpt-4.1", 1_047_576, 32_768, (0.002, 0.008)),
        _openai("gpt-4.1-mini", 1_047_576, 32_768, (0.0004, 0.0016)),
        _openai("gpt-4o", 128_000, 16_384, (0.0025, 0.01)),
        _openai("gpt-4o-mini", 128_000, 16_384, (0.00015, 0.0006)),
        _openai("gpt-4-turbo", 128_000, 4096, (0.01, 0.03)),
        _openai("gpt-3.5-turbo", 16_385, 4096, (0.0005, 0.0015)),
        _openai("o3", 200_000, 100_000, (0.002, 0.008)),
        _openai("o4-mini", 200_000, 100_000, (0.0011, 0.0044)),
        _local("llama3.1", 131_072),
        _local("llama3.2", 131_072),
        _local("llama3.2-vision", 131_072, tools=False, vision=True),
        _local("llama-3.1", 131_072),
        _local("llama-3.2", 131_072),
        _local("llama-3.3", 131_072),
        _local("llama-3.2-11b-vision", 131_072, vision=True),
        _local("llama-3.2-90b-vision", 131_072, vision=True),
        _local("qwen2.5", 32_768),
        _local("qwen2.5vl", 32_768, vision=True),
        _local("qwen2.5-vl", 32_768, vision=True),
        _local("qwen2.5-omni", 32_768, vision=True),
        _local("qwen3", 40_960),
        _local("qwen3-vl", 131_072, vision=True),
        _local("qwen3-omni", 32_768, vision=True),
        _local("mistral", 32_768),
        _local("mistral-small", 131_072, vision=True),
        _local("mistral-medium", 131_072, vision=True),
        _local("mistral-large", 131_072, vision=True),
        _local("gemma3", 131_072, tools=False, vision=True),
        _local("deepseek-r1", 131_072, tools=False),
        _local("gpt-oss", 131_072),
        _local("codellama", 16_384, tools=False),
    )
}


def get_profile(model: str) -> ModelProfile:
    """The profile of a model, by its name: `meta-llama/Llama-3.2-3B` and `llama3.2:3b` are found.

    An unknown model gets a careful one: a short context, no images; tools, as most take them now.
    """
    if (known := _known(model)) is None:
        return ModelProfile(model, "unknown", context_window=8192, max_output_tokens=2048)
    return replace(known, name=model)


def _known(model: str) -> ModelProfile | None:
    bare = model.rpartition("/")[2].lower()
    name = max((name for name in _PROFILES if bare.startswith(name)), key=len, default=None)
    return None if name is None else _PROFILES[name]


def input_modalities(model: str) -> PydanticProfile:
    """That a model which is known by its name sees nothing; of the others nobody can tell."""
    known = _known(model)
    if known is None or known.supports_vision or _is_later(model, than=known.name):
        return PydanticProfile()
    return PydanticProfile(supports_image_input=False)


def _is_later(model: str, *, than: str) -> bool:
    """Whether it is of a newer family, such as `qwen3.5` than `qwen3`."""
    rest = model.rpartition("/")[2].lower().removeprefix(than)
    return rest[:1] == "." or rest[:1].isdigit()


def server_profile(kind: Kind) -> PydanticProfile:
    """What a server does in its own way for all its models, beyond what pydantic-ai knows of it."""
    if kind == "vllm":
        return OpenAIModelProfile(openai_chat_supports_document_input=False)
    if kind not in ("ollama", "lmstudio"):
        return PydanticProfile()
    return OpenAIModelProfile(
        openai_chat_supports_max_completion_tokens=False,
        openai_chat_supports_document_input=False,
        # Chat templates of local models often refuse a second one.
        openai_chat_supports_multiple_system_messages=False,
        openai_supports_strict_tool_definition=False,
    )


def overrides(settings: ModelProfileSettings) -> PydanticProfile:
    """What the settings say of a model, as pydantic-ai takes it: over what is known by name."""
    told: dict[str, object] = {
        "supports_tools": settings.tools,
        "supports_image_input": settings.images,
        "supports_document_input": settings.documents,
        "openai_chat_supports_document_input": settings.documents,
        "supports_json_schema_output": settings.json_schema,
        "openai_supports_strict_tool_definition": settings.strict_tools,
        "openai_chat_thinking_field": settings.reasoning_field,
        "openai_system_prompt_role": settings.system_role,
        "openai_chat_supports_max_completion_tokens": _told(
            settings.max_tokens_field, "max_completion_tokens"
        ),
        "openai_chat_supports_multiple_system_messages": (
            None if settings.one_system_message is None else not settings.one_system_message
        ),
    }
    return merge_profile(
        OpenAIModelProfile(),
        OpenAIModelProfile(**{key: value for key, value in told.items() if value is not None}),  # pyright: ignore[reportArgumentType]  (typed by the settings)
    )


def _told(value: object, meant: object) -> bool | None:
    return None if value is None else value == meant
