"""The settings' sources, and how they are read."""

from pathlib import Path

from pydantic import Field, ValidationError
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
from shared.settings.auth import AuthSettings
from shared.settings.providers import ModelSettings, OpenAISettings, ProviderSettings
from shared.settings.sections import (
    HealthSettings,
    LimitSettings,
    LoggingSettings,
    RedisSettings,
    RunSettings,
    ServerSettings,
    TitleSettings,
    WorkerSettings,
)


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
    auth: AuthSettings = AuthSettings()
    openai: OpenAISettings = OpenAISettings()
    providers: dict[str, ProviderSettings] = Field(
        default={}, description="Further OpenAI-compatible endpoints, by name"
    )
    models: ModelSettings = ModelSettings()
    run: RunSettings = RunSettings()
    worker: WorkerSettings = WorkerSettings()
    limits: LimitSettings = LimitSettings()
    health: HealthSettings = HealthSettings()
    title: TitleSettings = TitleSettings()
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
