"""The backends' public API, compatible with the reference except for the import path."""

import inspect

import pytest
from pydantic import SecretStr

from mamba.backends import (
    AuthenticationError,
    ModelBackend,
    ModelBackendError,
    OpenAICompatibleBackend,
    RateLimitError,
    create_lmstudio_backend,
    create_ollama_backend,
    create_vllm_backend,
    get_profile,
)

REQUEST_PARAMETERS = {
    "messages": ...,
    "tools": None,
    "temperature": None,
    "max_tokens": None,
    "kwargs": ...,
}


def parameters(function: object) -> dict[str, object]:
    """Map each parameter to its default, or to `...` if it has none."""
    assert callable(function)
    found = inspect.signature(function).parameters.values()
    return {p.name: ... if p.default is p.empty else p.default for p in found if p.name != "self"}


def test_constructor_parameters_match_the_documentation() -> None:
    documented = {
        "model": ...,
        "base_url": "https://api.openai.com/v1",
        "api_key": None,
        "timeout": 60.0,
        "profile": None,
    }

    assert parameters(OpenAICompatibleBackend).items() >= documented.items()


@pytest.mark.parametrize("method", ["complete", "stream"])
def test_request_parameters_match_the_documentation(method: str) -> None:
    assert parameters(getattr(OpenAICompatibleBackend, method)) == REQUEST_PARAMETERS


def test_factory_parameters_match_the_documentation() -> None:
    ollama, vllm = parameters(create_ollama_backend), parameters(create_vllm_backend)
    lmstudio = parameters(create_lmstudio_backend)

    assert (ollama["model"], ollama["base_url"]) == (..., "http://localhost:11434/v1")
    assert (vllm["model"], vllm["base_url"]) == (..., "http://localhost:8000/v1")
    assert vllm["api_key"] is None
    assert lmstudio["model"] == "local-model"
    assert lmstudio["base_url"] == "http://localhost:1234/v1"


async def test_factories_forward_extra_options() -> None:
    profile = get_profile("gpt-4o")
    for create in (create_ollama_backend, create_vllm_backend, create_lmstudio_backend):
        backend = create("m", timeout=5.0, profile=profile)
        assert backend.profile is profile
        await backend.close()


async def test_backend_exposes_name_model_and_profile() -> None:
    profile = get_profile("llama3.2")
    plain = OpenAICompatibleBackend("gpt-4o")
    other = OpenAICompatibleBackend(
        model="my-model",
        base_url="http://localhost:8000/v1",
        api_key="optional-key",
        profile=profile,
    )

    assert isinstance(plain, ModelBackend)
    assert (plain.name, plain.model, plain.profile) == ("openai", "gpt-4o", get_profile("gpt-4o"))
    assert (other.name, other.model) == ("openai_compatible", "my-model")
    assert other.profile is profile
    for backend in (plain, other):
        await backend.close()


async def test_trailing_slash_of_base_url_is_removed() -> None:
    async with OpenAICompatibleBackend("m", base_url="http://localhost:1/v1/") as backend:
        assert "http://localhost:1/v1'" in repr(backend)


@pytest.mark.parametrize("key", [None, "plain", SecretStr("secret")], ids=str)
async def test_api_key_can_be_none_string_or_secret(key: SecretStr | str | None) -> None:
    async with OpenAICompatibleBackend("m", api_key=key) as backend:
        assert "plain" not in repr(backend)


def test_error_attributes_match_the_documentation() -> None:
    cause = OSError("gone")
    error = ModelBackendError("Request failed", model="m", retryable=True, cause=cause)

    assert (str(error), error.model, error.retryable) == ("Request failed", "m", True)
    assert error.cause is cause
    assert issubclass(RateLimitError, ModelBackendError)
    assert issubclass(AuthenticationError, ModelBackendError)
