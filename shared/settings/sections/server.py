"""Settings of the API server and the limits of its clients."""

import re
from typing import Annotated, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from shared.settings.sections.base import AtStart, Seconds, Section
from shared.settings.sections.origin import ANY, OPAQUE, Origin


def _normalize_path(path: str) -> str:
    if re.search(r"[\s?#%]|://", path):
        raise ValueError("Write only the path, such as /mamba.")
    segments = [segment for segment in path.split("/") if segment]
    return "".join(f"/{segment}" for segment in segments)


#: A path without a slash at its end, or nothing.
RootPath = Annotated[str, AfterValidator(_normalize_path)]


class ServerSettings(Section):
    host: AtStart[str] = Field(default="127.0.0.1", description="Address that the API listens on")
    port: AtStart[int] = Field(
        default=8000, ge=0, le=65535, description="Port that the API listens on"
    )
    workers: AtStart[int] = Field(
        default=1, ge=1, description="Number of API processes that share the port"
    )
    root_path: AtStart[RootPath] = Field(
        default="",
        description="Path under which a proxy publishes the API, such as `/mamba`, if the proxy "
        "does not remove it from the requests",
    )
    cors_origins: tuple[Origin, ...] = Field(
        default=(),
        description="Allowed browser origins in addition to localhost, as a JSON list; "
        "`https://*.example.com` allows all subdomains, `*` every origin",
    )
    cors_credentials: bool = Field(
        default=False,
        description="Whether pages of other origins may send cookies "
        "(`credentials: 'include'`); `cors_origins` must then list the origins",
    )
    heartbeat_seconds: Seconds = Field(
        default=15, description="Interval of keep-alive comments on an idle SSE stream"
    )
    shutdown_delay_seconds: AtStart[float] = Field(
        default=0,
        ge=0,
        description="Time after SIGTERM during which the API still serves but reports not ready",
    )
    shutdown_grace_seconds: AtStart[Seconds] = Field(
        default=10, description="Time after SIGTERM that open responses get to finish"
    )

    @model_validator(mode="after")
    def _check_credentials(self) -> Self:
        if self.cors_credentials and {ANY, OPAQUE} & set(self.cors_origins):
            message = (
                "server.cors_credentials cannot be combined with `*` or `null` in "
                "server.cors_origins: every website could send requests with the user's cookies. "
                "List the origins, such as https://chat.example.com."
            )
            raise PydanticCustomError("cors", "{message}", {"message": message})
        return self


class PlaygroundSettings(Section):
    enabled: bool = Field(
        default=False,
        description="Serve the playground, a chat page for development, at `/` instead of a page "
        "with links. `mamba dev` enables it",
    )


class TokenBudgetSettings(Section):
    """The tokens of an owner per period. All unset: no limit."""

    hour: int | None = Field(default=None, ge=0, description="Maximum number of tokens per hour")
    day: int | None = Field(default=None, ge=0, description="Maximum number of tokens per day")
    month: int | None = Field(default=None, ge=0, description="Maximum number of tokens per month")


#: Larger amounts are not exact in the unit of Redis, a billionth of a dollar.
Dollars = Annotated[float, Field(ge=0, le=1_000_000)]


class CostBudgetSettings(Section):
    """The cost of an owner per period. All unset: no limit."""

    hour: Dollars | None = Field(default=None, description="Maximum cost per hour in US dollars")
    day: Dollars | None = Field(default=None, description="Maximum cost per day in US dollars")
    month: Dollars | None = Field(default=None, description="Maximum cost per month in US dollars")


class BudgetSettings(Section):
    """What an owner may use in each hour, day, and month, in UTC."""

    tokens: TokenBudgetSettings = TokenBudgetSettings()
    cost: CostBudgetSettings = CostBudgetSettings()


_BudgetName = Annotated[str, StringConstraints(min_length=1)]
#: The budget of owners that have no other.
_DEFAULT_BUDGET = "default"


class LimitSettings(Section):
    body_bytes: int = Field(
        default=8 * 1024 * 1024, ge=1024, description="Maximum size of a request body in bytes"
    )
    messages: int = Field(default=1000, ge=1, description="Maximum number of messages in a request")
    parts: int = Field(default=1000, ge=1, description="Maximum number of parts in a message")
    files: int = Field(default=10, ge=0, description="Maximum number of files in a message")
    file_bytes: int = Field(
        default=5 * 1024 * 1024, ge=1, description="Maximum size of a file in bytes"
    )
    media_types: tuple[str, ...] = Field(
        default=(
            "text/*",
            *("image/png", "image/jpeg", "image/webp", "image/gif"),
            "application/pdf",
        ),
        description="Accepted file types; `text/*` covers every text format, including JSON",
    )
    values: int = Field(
        default=50_000,
        ge=1,
        description="Maximum number of JSON values in the tool data of a request",
    )
    id_chars: int = Field(default=256, ge=16, description="Maximum length of a chat or message ID")
    follower_bytes: int = Field(
        default=1024 * 1024,
        ge=65_536,
        description="Maximum number of unsent bytes buffered for a slow client",
    )
    requests_per_minute: int = Field(
        default=0,
        ge=0,
        description="Maximum number of runs, and of titles, per minute and owner; 0 means no limit",
    )
    burst: int = Field(
        default=10,
        ge=1,
        description="Maximum number of runs, and of titles, that an owner may start at once under "
        "`requests_per_minute`",
    )
    live_runs: int = Field(
        default=0, ge=0, description="Maximum number of live runs per owner; 0 means no limit"
    )
    streams: int = Field(
        default=1000,
        ge=0,
        description="Maximum number of open streams per owner and API process; 0 means no limit",
    )
    owner_bytes: int = Field(
        default=256 * 1024 * 1024,
        ge=0,
        description="Maximum number of bytes that an owner's requests and stored answers occupy in "
        "Redis; 0 means no limit. Ignored in mode `none`, where all requests have one owner",
    )
    queue_depth: int = Field(
        default=10_000,
        ge=0,
        description="Maximum number of waiting runs of all owners in each queue; 0 means no limit",
    )
    redis_memory: float = Field(
        default=0.85,
        ge=0,
        le=1,
        description="Share of the memory limit of Redis (`maxmemory`) above which no runs are "
        "accepted, so that running ones can end; 0 means no limit",
    )
    budgets: dict[_BudgetName, BudgetSettings] = Field(
        default={},
        description="Budgets of tokens and cost, by plan (`plan` of an API key, "
        "`auth.jwt.plan_claim`) or by owner (`<mode>:<tenant>:<owner>`, such as `jwt::ann`); "
        "`default` applies to all other owners",
    )

    def budget_of(self, owner: str, plan: str | None) -> BudgetSettings | None:
        """Return the budget of an owner with this plan: the first of owner, plan, and default."""
        names = (owner, plan or _DEFAULT_BUDGET, _DEFAULT_BUDGET)
        return next((self.budgets[name] for name in names if name in self.budgets), None)
