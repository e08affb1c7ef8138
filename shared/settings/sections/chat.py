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
#: What happens to a request whose chat has a live run.
WhenBusy = Literal["reject", "supersede", "queue"]


class ChatSettings(Section):
    request_settings: tuple[RequestSetting, ...] = Field(
        default=("system", "temperature", "topP", "maxOutputTokens", "stopSequences", "seed"),
        description="Model settings that a request may contain, as a JSON list; requests with "
        "others are refused. `maxOutputTokens` can only lower the agent's limit",
    )
    when_busy: WhenBusy = Field(
        default="reject",
        description="What happens to a message that arrives while its chat has a live run: reject "
        "it, stop the run (`supersede`), or wait for the run (`queue`). A request can choose with "
        "`whenBusy`",
    )
    max_waiting: int = Field(
        default=10,
        ge=1,
        le=100,
        description="Maximum number of runs that wait for the live run of their chat",
    )
