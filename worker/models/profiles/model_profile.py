"""The capabilities of models, derived from their names.

pydantic-ai has profiles for most model families. `ModelProfile` is the part that callers of a
backend need.
"""

from dataclasses import dataclass, field, replace
from typing import Any

from pydantic_ai.profiles import ModelProfile as PydanticProfile


@dataclass(frozen=True)
class ModelProfile:
    """A model's capabilities and limits. Lengths are in tokens, costs in US dollars."""

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
    #: Whether requests limit the output with `max_completion_tokens` instead of `max_tokens`.
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


#: Profiles by name prefix. The longest matching prefix applies.
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
    """Return a model's profile by its name, such as `meta-llama/Llama-3.2-3B` or `llama3.2:3b`.

    An unknown model gets conservative limits and no image support. Tool support is assumed, because
    most models have it. Requests do not depend on this: see `input_modalities`.
    """
    if (known := _known(model)) is None:
        return ModelProfile(model, "unknown", context_window=8192, max_output_tokens=2048)
    return replace(known, name=model)


def _known(model: str) -> ModelProfile | None:
    bare_name = model.rpartition("/")[2].lower()
    prefix = max((p for p in _PROFILES if bare_name.startswith(p)), key=len, default=None)
    return None if prefix is None else _PROFILES[prefix]


def input_modalities(model: str) -> PydanticProfile:
    """Turn off image input for models known to lack it. Unknown models keep the default."""
    known = _known(model)
    if known is None or known.supports_vision or _is_newer(model, than=known.name):
        return PydanticProfile()
    return PydanticProfile(supports_image_input=False)


def _is_newer(model: str, *, than: str) -> bool:
    """Return whether the model is from a newer family: `qwen3.5` is newer than `qwen3`."""
    rest = model.rpartition("/")[2].lower().removeprefix(than)
    return rest[:1] == "." or rest[:1].isdigit()
