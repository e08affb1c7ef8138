"""The `Settings` model, and loading it from the sources in their order of precedence."""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pydantic import Field, ValidationError, model_validator

from shared.errors import SettingsError
from shared.settings.model_names import ModelNameParser, validate_models
from shared.settings.names import Key, dotted
from shared.settings.sections.agents import AgentSettings
from shared.settings.sections.auth import AuthSettings
from shared.settings.sections.base import Section
from shared.settings.sections.chat import ChatSettings
from shared.settings.sections.models import (
    ModelSettings,
    OpenAISettings,
    ProviderName,
    ProviderSettings,
)
from shared.settings.sections.monitoring import HealthSettings, LoggingSettings, MetricsSettings
from shared.settings.sections.queue import QueueSettings
from shared.settings.sections.redis import RedisSettings
from shared.settings.sections.research import ResearchSettings
from shared.settings.sections.runs import RunSettings, TitleSettings, WorkerSettings
from shared.settings.sections.server import LimitSettings, PlaygroundSettings, ServerSettings
from shared.settings.sections.webhooks import WebhookName, WebhookSettings
from shared.settings.source import (
    SettingsProblem,
    SettingsSource,
    read_env_file,
    read_variables,
    read_yaml,
)
from shared.settings.tree import Tree, merged, with_lists

ENV_FILE = "~/mamba.env"
YAML_FILES = (Path("config.local.yaml"), Path("config/config.yaml"))


class Settings(Section):
    server: ServerSettings = ServerSettings()
    redis: RedisSettings = RedisSettings()
    auth: AuthSettings = AuthSettings()
    openai: OpenAISettings = OpenAISettings()
    providers: dict[ProviderName, ProviderSettings] = Field(
        default={}, description="Additional OpenAI-compatible endpoints, by name"
    )
    models: ModelSettings = ModelSettings()
    agents: AgentSettings = AgentSettings()
    chat: ChatSettings = ChatSettings()
    run: RunSettings = RunSettings()
    worker: WorkerSettings = WorkerSettings()
    queue: QueueSettings = QueueSettings()
    limits: LimitSettings = LimitSettings()
    health: HealthSettings = HealthSettings()
    title: TitleSettings = TitleSettings()
    research: ResearchSettings = ResearchSettings()
    webhooks: dict[WebhookName, WebhookSettings] = Field(
        default={}, description="Destinations of webhooks, by name"
    )
    logging: LoggingSettings = LoggingSettings()
    metrics: MetricsSettings = MetricsSettings()
    playground: PlaygroundSettings = PlaygroundSettings()

    @model_validator(mode="after")
    def _check_providers(self) -> Self:
        names = ModelNameParser(self.providers, self.openai.default_model)
        validate_models(self.providers, self.models, names)
        return self


@dataclass(frozen=True)
class LoadedSettings:
    """The settings, and their sources from the highest to the lowest precedence."""

    settings: Settings
    sources: tuple[SettingsSource, ...]

    def origin(self, key: Key) -> str | None:
        """Return the variable or file that sets a key, or None if it has its default."""
        return next(filter(None, (source.origin(key) for source in self.sources)), None)

    def renamed_from(self, key: Key) -> Key | None:
        """Return the original name that sets the key, or None if it is set by its current name."""
        source = next((source for source in self.sources if source.origin(key)), None)
        return source.renamed.get(key) if source else None


def load_settings() -> Settings:
    """Load the settings from all sources.

    Raises:
        SettingsError: if a source is invalid. Lists each invalid key, its source and the reason.
    """
    return read_settings().settings


def read_settings() -> LoadedSettings:
    """Load the settings and keep their sources.

    Raises:
        SettingsError: if a source is invalid. Lists each invalid key, its source and the reason.
    """
    sources = tuple(_sources())
    problems = [problem for source in sources for problem in source.problems]
    tree: object = Tree()
    for source in reversed(sources):
        tree = merged(tree, source.tree)
    try:
        settings = Settings.model_validate(with_lists(tree, Settings))
    except ValidationError as error:
        problems += _invalid_values(error, sources)
    else:
        if not problems:
            return LoadedSettings(settings, sources)
    lines = sorted({str(problem) for problem in problems})
    raise SettingsError("The settings are invalid:\n  " + "\n  ".join(lines)) from None


def settings_files() -> tuple[Path, ...]:
    """Return the paths of all settings files, including those that do not exist."""
    return (*YAML_FILES, *filter(None, [_env_file()]))


def _sources() -> Iterator[SettingsSource]:
    yield read_variables(Settings, os.environ)
    if path := _env_file():
        yield read_env_file(Settings, path, ENV_FILE)
    for path in YAML_FILES:
        yield read_yaml(Settings, path)


def _env_file() -> Path | None:
    """Return None if the user has no home directory, as in some containers."""
    with suppress(RuntimeError):
        return Path(ENV_FILE).expanduser()
    return None


def _invalid_values(
    error: ValidationError, sources: tuple[SettingsSource, ...]
) -> Iterator[SettingsProblem]:
    for detail in error.errors(include_url=False, include_input=False, include_context=False):
        key = tuple(str(part) for part in detail["loc"] if part != "[key]")
        text = detail["msg"].removeprefix("Value error, ")
        if not key:  # errors about several settings start with the key of one of them
            key_text, _, text = text.partition(": ")
            key = tuple(key_text.split("."))
        yield SettingsProblem(dotted(key), text, _nearest_origin(key, sources))


def _nearest_origin(key: Key, sources: tuple[SettingsSource, ...]) -> str:
    """Return where the key, or else the section around it, is set."""
    for length in range(len(key), 0, -1):
        for source in sources:
            if origin := source.origin(key[:length]):
                return origin
    return ""
