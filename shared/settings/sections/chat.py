"""Settings of chat requests."""

from typing import Literal

from pydantic import Field

from shared.settings.sections.base import Section

#: The settings that a request may contain, by the names that clients send.
RequestSetting = Literal[
    "system",
    "temperature",
    "topP",
    "maxOutputTokens",
    "stopSequences",
    "seed",
    "reasoningEffort",
]


class ChatSettings(Section):
    request_settings: tuple[RequestSetting, ...] = Field(
        default=("system", "temperature", "topP", "maxOutputTokens", "stopSequences", "seed"),
        description="Settings of the model that a request may contain, as a JSON list. Others, by "
        "default `reasoningEffort`, are refused; `maxOutputTokens` can only lower the limit of the "
        "agent",
    )
