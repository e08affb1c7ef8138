"""Backends for local model servers at their default ports."""

from typing import Any

from shared.providers.names import BUILT_IN_PROVIDERS
from worker.backends.openai_compatible import OpenAICompatibleBackend


def create_ollama_backend(
    model: str, *, base_url: str = BUILT_IN_PROVIDERS["ollama"][1], **options: Any
) -> OpenAICompatibleBackend:
    """Create a backend for an Ollama model such as `llama3.2`.

    `options` are passed to `OpenAICompatibleBackend`.
    """
    return OpenAICompatibleBackend(model, base_url=base_url, kind="ollama", **options)


def create_vllm_backend(
    model: str,
    *,
    base_url: str = BUILT_IN_PROVIDERS["vllm"][1],
    api_key: str | None = None,
    **options: Any,
) -> OpenAICompatibleBackend:
    """Create a backend for a vLLM model such as `meta-llama/Llama-3.2-3B-Instruct`."""
    return OpenAICompatibleBackend(
        model, base_url=base_url, api_key=api_key, kind="vllm", **options
    )


def create_lmstudio_backend(
    model: str = "local-model", *, base_url: str = BUILT_IN_PROVIDERS["lmstudio"][1], **options: Any
) -> OpenAICompatibleBackend:
    """Create a backend for the model that LM Studio has loaded. Any name selects it."""
    return OpenAICompatibleBackend(model, base_url=base_url, kind="lmstudio", **options)
