"""The backends by the name that code of yours imports them by: `docs/models.md` shows how."""

from worker.backends import (
    AuthenticationError,
    ModelBackend,
    ModelBackendError,
    ModelProfile,
    ModelResponse,
    OpenAICompatibleBackend,
    RateLimitError,
    StreamChunk,
    create_lmstudio_backend,
    create_ollama_backend,
    create_vllm_backend,
    get_profile,
)

__all__ = [
    "AuthenticationError",
    "ModelBackend",
    "ModelBackendError",
    "ModelProfile",
    "ModelResponse",
    "OpenAICompatibleBackend",
    "RateLimitError",
    "StreamChunk",
    "create_lmstudio_backend",
    "create_ollama_backend",
    "create_vllm_backend",
    "get_profile",
]
