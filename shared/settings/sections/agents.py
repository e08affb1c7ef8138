"""Settings of agents."""

from pathlib import Path

from pydantic import Field

from shared.settings.sections.base import AtStart, Section


class AgentSettings(Section):
    file: AtStart[Path] = Field(
        default=Path("config/agents.yaml"),
        description="YAML file that defines agents; optional unless you set this",
    )
