"""Settings of logs, metrics and health checks."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from shared.settings.sections.base import Seconds, Section


def _upper(level: object) -> object:
    return level.strip().upper() if isinstance(level, str) else level


class LoggingSettings(Section):
    level: Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], BeforeValidator(_upper)] = Field(
        default="INFO", description="Log level"
    )
    format: Literal["json", "console"] = Field(
        default="json", description="Log format: JSON lines, or readable text"
    )
    include_body: bool = Field(default=False, description="Log request bodies, including prompts")
    quiet_routes: tuple[Annotated[str, Field(pattern=r"^[A-Z]+ /", max_length=200)], ...] = Field(
        default=(),
        max_length=100,
        description="Routes whose successful requests are logged at level DEBUG, such as"
        " `GET /chats`, which `mamba dev` sets because an open playground polls it",
    )


class MetricsSettings(Section):
    public: bool = Field(
        default=False,
        description="Serve `/metrics` without authentication instead of to operators only",
    )


class HealthSettings(Section):
    openai_check_enabled: bool = Field(
        default=True, description="Include the model endpoints in health checks"
    )
    interval_seconds: Seconds = Field(
        default=30, description="Interval between checks of a model endpoint"
    )
    timeout_seconds: Seconds = Field(default=5, description="Timeout of a model endpoint check")
