"""The settings: read once at start, frozen, handed down from each process's composition root.

Highest first: `MAMBA_*` environment (nested by `__`), `~/mamba.env`, `config.local.yaml`,
`config/config.yaml`, the defaults below.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    YamlConfigSettingsSource,
)
from pydantic_settings import SettingsError as UnreadableError
from yaml import YAMLError

from shared.errors import SettingsError

Seconds = Annotated[float, Field(gt=0)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ServerSettings(_Section):
    host: str = Field(default="127.0.0.1", description="Address the API binds")
    port: int = Field(default=8000, ge=0, le=65535, description="Port the API binds")
    cors_origins: tuple[str, ...] = Field(
        default=(), description="Origins of browsers, beside those on localhost; a JSON list"
    )
    heartbeat_seconds: Seconds = Field(default=15, description="Longest silence on a stream")
    shutdown_delay_seconds: float = Field(
        default=0, ge=0, description="SIGTERM: serving, yet not ready"
    )
    shutdown_grace_seconds: Seconds = Field(
        default=10, description="SIGTERM: wait for open responses"
    )


class RedisSettings(_Section):
    url: str = Field(
        default="redis://localhost:6379/0",
        pattern=r"^(redis|rediss|unix)://",
        description="redis://, rediss:// or unix://",
    )
    max_connections: int = Field(default=16, ge=2, description="Connections a process may open")


class OpenAISettings(_Section):
    api_key: SecretStr | None = Field(default=None, description="Also read from OPENAI_API_KEY")
    base_url: str | None = Field(
        default=None, pattern=r"^https?://", description="Also OPENAI_API_BASE_URL"
    )
    default_model: str = Field(default="gpt-4o", description="Model of requests that name none")
    timeout_seconds: Seconds = Field(default=60, description="Longest silence of the endpoint")
    demo: bool = Field(default=False, description="Answer with the built-in demo model")


class RunSettings(_Section):
    timeout_seconds: Seconds = Field(default=300, description="Longest time from start to end")
    max_retries: int = Field(default=3, ge=0, description="Failures a run survives")
    max_crashes: int = Field(default=5, ge=0, description="Workers a run may lose")
    max_steps: int = Field(default=20, ge=1, description="Model requests a run may make")
    retention_seconds: Seconds = Field(default=3600, description="Replay of ended runs")
    live_ttl_seconds: Seconds = Field(default=86_400, description="Longest wait in the queue")


class WorkerSettings(_Section):
    concurrency: int = Field(default=256, ge=1, description="Runs at once in one worker process")
    lease_seconds: Seconds = Field(default=3, description="A dead worker is noticed after")
    poll_seconds: Seconds = Field(default=0.5, description="Fallback poll of the queue")
    drain_seconds: float = Field(default=30, ge=0, description="SIGTERM: time for running answers")


class LimitSettings(_Section):
    body_bytes: int = Field(default=8 * 1024 * 1024, ge=1024, description="Largest request body")
    messages: int = Field(default=1000, ge=1, description="Messages in a request")
    parts: int = Field(default=1000, ge=1, description="Parts in a message")
    values: int = Field(default=50_000, ge=1, description="JSON values in all tools' data")
    id_chars: int = Field(default=256, ge=16, description="Length of a chat's or message's id")
    follower_bytes: int = Field(
        default=1024 * 1024, ge=65_536, description="Unsent bytes a slow client holds"
    )


class LoggingSettings(_Section):
    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="Log level"
    )
    format: Literal["json", "console"] = Field(default="json", description="JSON lines, or text")


class Settings(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix="MAMBA_",
        env_nested_delimiter="__",
        env_ignore_empty=True,
        env_file=Path("~/mamba.env").expanduser(),
        frozen=True,
        extra="ignore",
    )

    server: ServerSettings = ServerSettings()
    redis: RedisSettings = RedisSettings()
    openai: OpenAISettings = OpenAISettings()
    run: RunSettings = RunSettings()
    worker: WorkerSettings = WorkerSettings()
    limits: LimitSettings = LimitSettings()
    logging: LoggingSettings = LoggingSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003  (the base class calls by name)
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (
            init_settings,
            env_settings,
            _OpenAIVariables(settings_cls),
            dotenv_settings,
            _OpenAIFile(settings_cls),
            _YamlFile(settings_cls, Path("config.local.yaml")),
            _YamlFile(settings_cls, Path("config/config.yaml")),
        )


class _OpenAIVariables(EnvSettingsSource):
    """`OPENAI_API_KEY` and `OPENAI_API_BASE_URL`, the names that the whole field knows."""

    def __call__(self) -> dict[str, dict[str, str]]:
        names = {"api_key": "OPENAI_API_KEY", "base_url": "OPENAI_API_BASE_URL"}
        found = {key: self.env_vars.get(name.lower()) for key, name in names.items()}
        return {"openai": {key: value for key, value in found.items() if value}}


class _OpenAIFile(_OpenAIVariables, DotEnvSettingsSource):
    """The same names in `~/mamba.env`."""


class _YamlFile(YamlConfigSettingsSource):
    """A file of ours alone: a section in it that nobody knows is a mistake."""

    def __init__(self, settings_cls: type[BaseSettings], path: Path) -> None:
        try:
            super().__init__(settings_cls, path)
        except (YAMLError, AttributeError, TypeError, ValueError) as error:
            raise SettingsError(f"{path} cannot be read: {error}") from None
        if unknown := sorted(self.yaml_data.keys() - settings_cls.model_fields.keys()):
            raise SettingsError(f"{path} has unknown sections: {', '.join(unknown)}")


def load_settings() -> Settings:
    """Read the settings from all their sources.

    Raises:
        SettingsError: naming each wrong key and what is wrong with it.
    """
    try:
        return Settings()
    except ValidationError as error:
        lines = [
            f"{'.'.join(str(part) for part in problem['loc'])}: {problem['msg']}"
            for problem in error.errors(include_url=False, include_input=False)
        ]
        raise SettingsError("The settings are wrong:\n  " + "\n  ".join(lines)) from None
    except UnreadableError as error:
        raise SettingsError(f"The settings are wrong:\n  {error}") from None
