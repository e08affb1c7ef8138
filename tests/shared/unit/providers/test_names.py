"""Which provider a model's name means, who may ask for it, and what stands in for it."""

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

OWN = ProviderSettings(base_url="https://own.test/v1/", api_key=SecretStr("sk-secret"))


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


@pytest.mark.parametrize(("name", "meant"), NAMES)
def test_a_name_means_a_model_of_a_provider(name: str, meant: str) -> None:
    assert str(parse_model_name(settings(own=OWN), name)) == meant


def test_a_bare_name_is_of_the_default_models_provider() -> None:
    assert str(parse_model_name(settings("ollama/llama3.2"), "mistral")) == "ollama/mistral"


def test_the_local_servers_are_there_unasked_and_may_be_moved() -> None:
    moved = settings(ollama=ProviderSettings(base_url="http://gpu:11434/v1"))

    assert providers_of(settings())["ollama"].base_url == "http://localhost:11434/v1"
    assert not providers_of(settings())["ollama"].configured
    assert providers_of(moved)["ollama"].base_url == "http://gpu:11434/v1"
    assert providers_of(moved)["ollama"].kind == "ollama"
    assert providers_of(moved)["ollama"].configured


def test_a_built_in_provider_keeps_its_address_where_none_is_given() -> None:
    named = providers_of(settings(vllm=ProviderSettings(models=("a",))))["vllm"]

    assert named.base_url == "http://localhost:8000/v1"
    assert named.configured


def test_a_provider_shows_its_key_to_nobody() -> None:
    assert "sk-secret" not in repr(providers_of(settings(own=OWN)))


@pytest.mark.parametrize(
    ("default", "key", "there"),
    [("gpt-4o", "k", True), ("gpt-4o", None, False), ("ollama/llama3.2", None, True)],
)
def test_somebody_answers_where_the_default_models_provider_is_known(
    default: str, key: str | None, *, there: bool
) -> None:
    assert has_usable_model(settings(default, key=key)) is there


def test_without_a_list_any_model_may_be_named() -> None:
    assert resolve_requested_model(settings(), "vllm/a/b") == "vllm/a/b"


@pytest.mark.parametrize("name", ["gpt-4o-mini", "openai/gpt-4o-mini", "ollama/a/b", "gpt-3"])
def test_a_list_allows_what_fits_its_patterns_and_the_default(name: str) -> None:
    allowing = settings("gpt-3", allowed=("openai/gpt-4*", "ollama/*"))

    assert resolve_requested_model(allowing, name) == name
    assert resolve_requested_model(allowing, None) == "gpt-3"


@pytest.mark.parametrize("name", ["o3", "vllm/gpt-4o", "openai/GPT-4o"])
def test_what_a_list_does_not_allow_is_refused_by_its_field(name: str) -> None:
    with pytest.raises(InvalidRequest, match=r"^model: .*openai/gpt-4\*.*GET /models") as refused:
        resolve_requested_model(settings(allowed=("openai/gpt-4*",)), name)

    assert refused.value.field == "model"


def test_a_pattern_without_a_provider_is_of_the_default_one() -> None:
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
def test_the_first_pattern_that_fits_names_a_models_queue(name: str, queue: str) -> None:
    routes = {"gpt-4o*": "quick", "ollama/*": "local", "gpt-*": "slow", "openai/*": "other"}
    routed = Settings(models=ModelSettings(queues=routes))

    assert queue_for_model(routed, parse_model_name(routed, name)) == queue


def test_a_queues_name_is_plain() -> None:
    with pytest.raises(ValidationError, match="queues"):
        ModelSettings(queues={"ollama/*": "Local Queue"})


def test_fall_backs_follow_one_another_each_once() -> None:
    chained = settings(
        fallbacks={
            "gpt-4o": ("gpt-4o-mini", "own/m"),
            "openai/gpt-4o-mini": ("own/m", "ollama/llama3.2"),
        },
        own=OWN,
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
def test_fall_backs_in_a_circle_are_a_mistake(fallbacks: dict[str, tuple[str, ...]]) -> None:
    with pytest.raises(ValidationError, match=r"models.fallbacks.*cycle.*openai/gpt-4o →"):
        settings(fallbacks=fallbacks)


def test_a_provider_of_ones_own_needs_an_address() -> None:
    with pytest.raises(ValidationError, match=r"providers\.own\.base_url"):
        settings(own=ProviderSettings())


def test_openai_is_written_in_its_own_section() -> None:
    with pytest.raises(ValidationError, match="in the `openai` section"):
        settings(openai=OWN)


@pytest.mark.parametrize("name", ["Own", "a/b", "", "-a"])
def test_a_providers_name_is_plain(name: str) -> None:
    with pytest.raises(ValidationError, match="should match"):
        Settings(providers={name: OWN})
