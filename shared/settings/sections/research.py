"""What the research agent may read."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator

from shared.settings.sections.base import AtStart, Seconds, Section


class ResearchSettings(Section):
    notes_folder: AtStart[Path | None] = Field(
        default=None, description="Folder of notes; those that ship, if unset"
    )
    web_search: AtStart[Literal["none", "duckduckgo", "tavily"]] = Field(
        default="none", description="Who searches the web"
    )
    tavily_api_key: AtStart[SecretStr | None] = Field(
        default=None, description="Key of Tavily's search"
    )
    tavily_base_url: AtStart[str | None] = Field(
        default=None, pattern=r"^https?://", description="Another address of it, as a proxy's"
    )
    fetch_pages: AtStart[bool] = Field(default=False, description="Read web pages")
    fetch_timeout_seconds: AtStart[Seconds] = Field(
        default=20, description="Longest wait for a page"
    )
    allowed_domains: AtStart[tuple[str, ...]] = Field(
        default=(), description="Hosts that may be read; all public ones, if empty"
    )
    blocked_domains: AtStart[tuple[str, ...]] = Field(
        default=(), description="Hosts that may not be read"
    )
    private_addresses: AtStart[bool] = Field(
        default=False, description="Read hosts on private networks too, as an intranet's"
    )

    @model_validator(mode="after")
    def _tavily_has_its_key(self) -> Self:
        if self.web_search == "tavily" and self.tavily_api_key is None:
            raise ValueError("web_search: tavily needs tavily_api_key")
        return self
