"""Converts between the settings `providers.<name>.profile` and pydantic-ai's profiles."""

from collections.abc import Mapping
from typing import Literal

from pydantic_ai.profiles import ModelProfile as PydanticProfile
from pydantic_ai.profiles import merge_profile

from shared.settings import ModelProfileSettings
from shared.settings.sections.models import Kind, SendReasoning
from worker.models.chat.text_reasoning.tags import default_tag
from worker.models.profiles.model_profile import input_modalities
from worker.models.profiles.server_profile import ExtendedProfile, model_families, server_profile

ThinkingFormat = Literal["auto", "tags", "field", False]

_THINKING_FORMATS: Mapping[SendReasoning, ThinkingFormat] = {
    "received": "auto",
    "field": "field",
    "tags": "tags",
    "never": False,
}


def default_profile(kind: Kind, model: str) -> PydanticProfile:
    """Return the profile of a model, as derived from its server and its name."""
    return merge_profile(model_families(kind)(model), server_profile(kind), input_modalities(model))


def profile_overrides(settings: ModelProfileSettings) -> PydanticProfile:
    """Return the profile fields that the settings override."""
    fields: dict[str, object] = {
        "supports_tools": settings.tools,
        "supports_image_input": settings.images,
        "supports_document_input": settings.documents,
        "openai_chat_supports_document_input": settings.documents,
        "supports_json_schema_output": settings.json_schema,
        "openai_supports_strict_tool_definition": settings.strict_tools,
        "openai_system_prompt_role": settings.system_role,
        "openai_chat_supports_max_completion_tokens": (
            settings.max_tokens_field and settings.max_tokens_field == "max_completion_tokens"
        ),
        "openai_chat_supports_multiple_system_messages": _negated(settings.one_system_message),
        "supports_inline_system_prompts": settings.inline_system_messages,
        "thinking_tags": (
            settings.reasoning_tag
            and (f"<{settings.reasoning_tag}>", f"</{settings.reasoning_tag}>")
        ),
        "tool_call_id_length": settings.tool_call_id_length,
        "mamba_alternating_roles": settings.alternating_roles,
        "mamba_stream_usage": settings.stream_usage,
        "mamba_parallel_tool_calls": settings.parallel_tool_calls,
        "mamba_tool_choice": settings.tool_choice and settings.tool_choice != "never",
        "supports_forced_tool_choice": settings.tool_choice and settings.tool_choice == "required",
        **_reasoning(settings),
    }
    return ExtendedProfile(**{key: value for key, value in fields.items() if value is not None})  # pyright: ignore[reportArgumentType]  (typed by the settings)


def profile_settings(profile: PydanticProfile) -> ModelProfileSettings:
    """Return the settings that describe a profile. Fields that pydantic-ai decides stay unset."""
    completion_tokens = profile.get("openai_chat_supports_max_completion_tokens", True)
    thinking = profile.get("openai_chat_send_back_thinking_parts", "auto")
    return ModelProfileSettings(
        tools=profile.get("supports_tools", True),
        images=profile.get("supports_image_input", True),
        documents=profile.get("supports_document_input", True)
        and profile.get("openai_chat_supports_document_input", True),
        json_schema=profile.get("supports_json_schema_output", False),
        strict_tools=profile.get("openai_supports_strict_tool_definition", True),
        reasoning_field=profile.get("openai_chat_thinking_field"),
        reasoning_tag=default_tag(profile),
        send_reasoning=next(name for name, value in _THINKING_FORMATS.items() if value == thinking),
        max_tokens_field="max_completion_tokens" if completion_tokens else "max_tokens",
        system_role=profile.get("openai_system_prompt_role") or "system",
        one_system_message=not profile.get("openai_chat_supports_multiple_system_messages", True),
        inline_system_messages=profile.get("supports_inline_system_prompts", False),
        alternating_roles=profile.get("mamba_alternating_roles", False),
        stream_usage=profile.get("mamba_stream_usage", True),
        tool_choice=_tool_choice(profile),
        parallel_tool_calls=profile.get("mamba_parallel_tool_calls"),
        tool_call_id_length=profile.get("tool_call_id_length"),
    )


def _reasoning(settings: ModelProfileSettings) -> dict[str, object]:
    """A field is required to always send reasoning in it. It defaults to the most common one."""
    required = settings.send_reasoning == "field"
    return {
        "openai_chat_thinking_field": settings.reasoning_field
        or ("reasoning_content" if required else None),
        "openai_chat_send_back_thinking_parts": (
            settings.send_reasoning and _THINKING_FORMATS[settings.send_reasoning]
        ),
        "openai_chat_thinking_requires_field_on_tool_calls": required or None,
    }


def _tool_choice(profile: PydanticProfile) -> Literal["required", "auto", "never"]:
    if not profile.get("mamba_tool_choice", True):
        return "never"
    return "required" if profile.get("supports_forced_tool_choice", True) else "auto"


def _negated(value: bool | None) -> bool | None:  # noqa: FBT001
    return None if value is None else not value
