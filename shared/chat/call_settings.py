"""What a request sets for its model calls."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

ReasoningEffort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]


class CallSettings(BaseModel):
    """The settings that are sent to the model. None means that the request does not set it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    temperature: float | None = None
    top_p: float | None = None
    #: An upper limit: the agent's own limit applies if it is lower.
    max_output_tokens: int | None = None
    stop_sequences: tuple[str, ...] | None = None
    seed: int | None = None
    reasoning_effort: ReasoningEffort | None = None
