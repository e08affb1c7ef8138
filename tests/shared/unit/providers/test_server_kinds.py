"""Detection of a provider's server software."""

import pytest

from shared.providers.names import providers_of
from shared.providers.server_kinds import detect_kind
from shared.settings import OpenAISettings, ProviderSettings, Settings


@pytest.mark.parametrize(
    ("name", "base_url", "kind"),
    [
        ("deepseek", "https://proxy.example/v1", "deepseek"),
        ("mine", "https://api.deepseek.com/v1", "deepseek"),
        ("LM-Studio", "http://gpu:9/v1", "lmstudio"),
        ("llama.cpp", "http://gpu:9/v1", "llamacpp"),
        ("kimi", "https://proxy.example/v1", "moonshot"),
        ("a", "https://dashscope-intl.aliyuncs.com/compatible-mode/v1", "qwen"),
        ("a", "https://me.openai.azure.com/openai/v1", "azure"),
        ("vllm", "https://openrouter.ai/api/v1", "openrouter"),
        ("a", "http://localhost:11434/v1", "ollama"),
        ("a", "http://localhost:8080/v1", "compatible"),
        ("a", "https://notopenrouter.ai/v1", "compatible"),
        ("a", "http://[::1]:99999/v1", "compatible"),
    ],
)
def test_kind_follows_host_then_name_then_port(name: str, base_url: str, kind: str) -> None:
    assert detect_kind(name, base_url) == kind


@pytest.mark.parametrize(
    ("section", "kind"),
    [
        (OpenAISettings(), "openai"),
        (OpenAISettings(base_url="https://api.groq.com/openai/v1"), "groq"),
        (OpenAISettings(base_url="http://localhost:9/v1"), "compatible"),
        (OpenAISettings(base_url="http://localhost:9/v1", kind="vllm"), "vllm"),
    ],
)
def test_openai_section_serves_any_kind_of_server(section: OpenAISettings, kind: str) -> None:
    assert providers_of(Settings(openai=section))["openai"].kind == kind


def test_configured_kind_takes_precedence() -> None:
    settings = Settings(
        providers={"groq": ProviderSettings(base_url="https://api.groq.com/v1", kind="compatible")}
    )

    assert providers_of(settings)["groq"].kind == "compatible"
