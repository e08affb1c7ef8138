"""Settings of agents."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from shared.settings.sections.base import AtStart, Section


class AgentSettings(Section):
    file: AtStart[Path] = Field(
        default=Path("config/agents.yaml"),
        description="YAML file that defines agents; optional unless you set this",
    )
    system_messages: Literal["accept", "user", "refuse"] = Field(
        default="accept",
        description="What to do with `system` messages of clients: accept them, pass them to the "
        "model as user messages, or refuse the request",
    )
