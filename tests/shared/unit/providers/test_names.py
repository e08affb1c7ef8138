"""Model names: their provider, permission, queue and fallbacks."""

import pytest
from pydantic import SecretStr, ValidationError

from shared.errors import InvalidRequest
from shared.providers.names import (
    fallback_chain,
    has_usable_model,
    parse_model_name,
    providers_of,
    queue_for_model,
    resolve_requested_model,
)
from shared.settings import ModelSettings, OpenAISettings, ProviderSettings, Settings

CUSTOM = ProviderSettings(base_url="https://own.test/v1/", api_key=SecretStr("sk-secret"))


def settings(
    default: str = "gpt-4o",
    *,
    allowed: tuple[str, ...] = (),
    fallbacks: dict[str, tuple[str, ...]] | None = None,
    key: str | None = "k",
    **providers: ProviderSettings,
) -> Settings:
    return Settings(
        openai=OpenAISettings(api_key=SecretStr(key) if key else None, default_model=default),
        models=ModelSettings(allowed=allowed, fallbacks=fallbacks or {}),
        providers=providers,
    )


NAMES = [
    ("gpt-4o", "openai/gpt-4o"),
    ("openai/gpt-4o", "openai/gpt-4o"),
    ("ollama/llama3.2", "ollama/llama3.2"),
    ("vllm/meta-llama/Llama-3.2-3B-Instruct", "vllm/meta-llama/Llama-3.2-3B-Instruct"),
    ("meta-llama/Llama-3", "openai/meta-llama/Llama-3"),
    ("own/m", "own/m"),
    ("own/", "openai/own/"),
    ("/m", "openai//m"),
]


@pytest.mark.parametrize(("name", "expected"), NAMES)
def test_model_name_selects_provider_and_model(name: str, expected: str) -> None:
    assert str(parse_model_name(settings(own=CUSTOM), name)) == expected


def test_bare_model_name_uses_provider_of_the_default_model() -> None:
    assert str(parse_model_name(settings("ollama/llama3.2"), "mistral")) == "ollama/mistral"


def test_built_in_provider_base_url_can_be_overridden() -> None:
    moved = settings(ollama=ProviderSettings(base_url="http://gpu:11434/v1"))

    assert providers_of(settings())["ollama"].base_url == "http://localhost:11434/v1"
    assert not providers_of(settings())["ollama"].configured
    assert providers_of(moved)["ollama"].base_url == "http://gpu:11434/v1"
    assert providers_of(moved)["ollama"].kind == "ollama"
    assert providers_of(moved)["ollama"].configured


def test_built_in_provider_keeps_its_default_base_url() -> None:
    named = providers_of(settings(vllm=ProviderSettings(models=("a",))))["vllm"]

    assert named.base_url == "http://localhost:8000/v1"
    assert named.configured


def test_provider_repr_hides_the_api_key() -> None:
    assert "sk-secret" not in repr(providers_of(settings(own=CUSTOM)))


@pytest.mark.parametrize(
    ("default", "key", "usable"),
    [("gpt-4o", "k", True), ("gpt-4o", None, False), ("ollama/llama3.2", None, True)],
)
def test_default_provider_decides_whether_a_model_is_usable(
    default: str, key: str | None, *, usable: bool
) -> None:
    assert has_usable_model(settings(default, key=key)) is usable


def test_any_model_is_allowed_without_patterns() -> None:
    assert resolve_requested_model(settings(), "vllm/a/b") == "vllm/a/b"


@pytest.mark.parametrize("name", ["gpt-4o-mini", "openai/gpt-4o-mini", "ollama/a/b", "gpt-3"])
def test_matching_models_and_the_default_model_are_allowed(name: str) -> None:
    allowing = settings("gpt-3", allowed=("openai/gpt-4*", "ollama/*"))

    assert resolve_requested_model(allowing, name) == name
    assert resolve_requested_model(allowing, None) == "gpt-3"


@pytest.mark.parametrize("name", [None, "gpt-4o", "o3"])
def test_demo_model_answers_every_request(name: str | None) -> None:
    demo = Settings(
        openai=OpenAISettings(demo=True), models=ModelSettings(allowed=("openai/gpt-4*",))
    )

    assert resolve_requested_model(demo, name) == "demo"


@pytest.mark.parametrize("name", ["o3", "vllm/gpt-4o", "openai/GPT-4o"])
def test_disallowed_model_error_names_the_field(name: str) -> None:
    with pytest.raises(InvalidRequest, match=r"^model: .*openai/gpt-4\*.*GET /models") as raised:
        resolve_requested_model(settings(allowed=("openai/gpt-4*",)), name)

    assert raised.value.field == "model"


def test_pattern_without_provider_uses_the_default_provider() -> None:
    assert resolve_requested_model(settings(allowed=("gpt-*",)), "openai/gpt-5") == "openai/gpt-5"


@pytest.mark.parametrize(
    ("name", "queue"),
    [
        ("gpt-4o", "quick"),
        ("openai/gpt-4", "slow"),
        ("ollama/llama3.2:3b", "local"),
        ("vllm/x", "main"),
    ],
)
def test_first_matching_pattern_selects_the_queue(name: str, queue: str) -> None:
    routes = {"gpt-4o*": "quick", "ollama/*": "local", "gpt-*": "slow", "openai/*": "other"}
    routed = Settings(models=ModelSettings(queues=routes))

    assert queue_for_model(routed, parse_model_name(routed, name)) == queue


def test_invalid_queue_name_is_rejected() -> None:
    with pytest.raises(ValidationError, match="queues"):
        ModelSettings(queues={"ollama/*": "Local Queue"})


def test_fallback_chain_lists_each_model_once() -> None:
    chained = settings(
        fallbacks={
            "gpt-4o": ("gpt-4o-mini", "own/m"),
            "openai/gpt-4o-mini": ("own/m", "ollama/llama3.2"),
        },
        own=CUSTOM,
    )

    chain = fallback_chain(chained, parse_model_name(chained, "gpt-4o"))

    assert [str(name) for name in chain] == [
        "openai/gpt-4o",
        "openai/gpt-4o-mini",
        "own/m",
        "ollama/llama3.2",
    ]


@pytest.mark.parametrize(
    "fallbacks",
    [
        {"gpt-4o": ("openai/gpt-4o",)},
        {"gpt-4o": ("ollama/a",), "ollama/a": ("vllm/b",), "vllm/b": ("openai/gpt-4o",)},
    ],
)
def test_fallback_cycle_is_rejected(fallbacks: dict[str, tuple[str, ...]]) -> None:
    with pytest.raises(ValidationError, match=r"models.fallbacks.*cycle.*openai/gpt-4o →"):
        settings(fallbacks=fallbacks)


def test_custom_provider_requires_base_url() -> None:
    with pytest.raises(ValidationError, match=r"providers\.own\.base_url"):
        settings(own=ProviderSettings())


def test_openai_is_rejected_as_a_provider_name() -> None:
    with pytest.raises(ValidationError, match="in the `openai` section"):
        settings(openai=CUSTOM)


@pytest.mark.parametrize("name", ["Own", "a/b", "", "-a"])
def test_invalid_provider_name_is_rejected(name: str) -> None:
    with pytest.raises(ValidationError, match="should match"):
        Settings(providers={name: CUSTOM})
