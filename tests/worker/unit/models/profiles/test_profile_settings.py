"""Profiles of models: the defaults of each server, and the settings that override them."""

from typing import get_args

import pytest
from pydantic_ai.profiles import merge_profile

from shared.settings import ModelProfileSettings
from shared.settings.sections.models import Kind
from worker.models.profiles.profile_settings import (
    default_profile,
    profile_overrides,
    profile_settings,
)

KINDS: tuple[Kind, ...] = get_args(Kind)
ALL_SET = ModelProfileSettings(
    tools=False,
    images=False,
    documents=False,
    json_schema=False,
    strict_tools=False,
    reasoning_field="thoughts",
    reasoning_tag="musing",
    send_reasoning="field",
    max_tokens_field="max_tokens",
    system_role="user",
    one_system_message=True,
    inline_system_messages=True,
    alternating_roles=True,
    stream_usage=False,
    tool_choice="never",
    parallel_tool_calls=False,
    tool_call_id_length=9,
)


def defaults(kind: Kind, model: str = "m") -> ModelProfileSettings:
    return profile_settings(default_profile(kind, model))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("model", ["m", "a/b", "", "gpt-4o", "meta-llama/Llama-3.3:free", "ü"])
def test_every_kind_has_a_profile_for_any_model(kind: Kind, model: str) -> None:
    settings = defaults(kind, model)

    assert settings.alternating_roles is (kind not in ("openai", "azure"))


@pytest.mark.parametrize("kind", KINDS)
def test_settings_override_the_profile_of_every_kind(kind: Kind) -> None:
    profile = merge_profile(default_profile(kind, "m"), profile_overrides(ALL_SET))

    assert profile_settings(profile) == ALL_SET


@pytest.mark.parametrize("kind", KINDS)
def test_unset_settings_change_nothing(kind: Kind) -> None:
    profile = default_profile(kind, "m")

    assert merge_profile(profile, profile_overrides(ModelProfileSettings())) == profile


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("deepseek", {"send_reasoning": "field", "reasoning_field": "reasoning_content"}),
        ("moonshot", {"send_reasoning": "field", "tool_choice": "auto"}),
        ("mistral", {"stream_usage": False, "tool_call_id_length": 9}),
        ("mistral", {"max_tokens_field": "max_tokens"}),
        ("ollama", {"strict_tools": False, "max_tokens_field": "max_tokens"}),
        ("vllm", {"one_system_message": True, "inline_system_messages": False}),
        ("compatible", {"one_system_message": True, "inline_system_messages": False}),
        ("openrouter", {"send_reasoning": "received"}),
        ("openai", {"max_tokens_field": "max_completion_tokens", "documents": True}),
        ("azure", {"documents": False}),
    ],
)
def test_known_server_has_its_defaults(kind: Kind, expected: dict[str, object]) -> None:
    settings = defaults(kind)

    assert {name: getattr(settings, name) for name in expected} == expected


def test_sending_reasoning_in_a_field_has_a_default_field() -> None:
    profile = profile_overrides(ModelProfileSettings(send_reasoning="field"))

    assert profile_settings(profile).reasoning_field == "reasoning_content"
