"""Settings of the research agent."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from shared.settings.sections.base import AtStart, Seconds, Section
from shared.settings.sections.http_values import ApiKey, BaseUrl


class ResearchSettings(Section):
    notes_folder: AtStart[Path | None] = Field(
        default=None, description="Folder of notes; the bundled notes if unset"
    )
    web_search: AtStart[Literal["none", "duckduckgo", "tavily"]] = Field(
        default="none", description="Web search service of the agent"
    )
    tavily_api_key: AtStart[ApiKey | None] = Field(default=None, description="API key of Tavily")
    tavily_base_url: AtStart[BaseUrl | None] = Field(
        default=None,
        description="Base URL of Tavily, for example of a proxy",
    )
    fetch_pages: AtStart[bool] = Field(
        default=False, description="Allow the agent to read web pages"
    )
    fetch_timeout_seconds: AtStart[Seconds] = Field(
        default=20, description="Timeout for fetching a page"
    )
    allowed_domains: AtStart[tuple[str, ...]] = Field(
        default=(), description="Hosts that the agent may read; all public hosts if empty"
    )
    blocked_domains: AtStart[tuple[str, ...]] = Field(
        default=(), description="Hosts that the agent must not read"
    )
    private_addresses: AtStart[bool] = Field(
        default=False, description="Allow hosts on private networks, such as an intranet"
    )

    @model_validator(mode="after")
    def _require_tavily_key(self) -> Self:
        if self.web_search == "tavily" and self.tavily_api_key is None:
            raise ValueError(
                "research.tavily_api_key is missing. Set it, or set web_search to another service."
            )
        return self
