"""The public API for calling models from Python. See `docs/models.md`."""

from worker.backends.local import (
    create_lmstudio_backend,
    create_ollama_backend,
    create_vllm_backend,
)
from worker.backends.model_backend import ModelBackend
from worker.backends.openai_compatible import OpenAICompatibleBackend
from worker.backends.response import ModelResponse, StreamChunk
from worker.models.endpoint_errors import AuthenticationError, ModelBackendError, RateLimitError
from worker.models.profiles.model_profile import ModelProfile, get_profile

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
