"""All settings, and how they are put together from their sources.

Highest first: the environment, `~/mamba.env`, `config.local.yaml`, `config/config.yaml`, the
defaults of the sections.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pydantic import Field, ValidationError, model_validator

from shared.errors import SettingsError
from shared.providers import names as known
from shared.settings.names import Key, dotted
from shared.settings.sections.agents import AgentSettings
from shared.settings.sections.auth import AuthSettings
from shared.settings.sections.base import Section
from shared.settings.sections.models import (
    ModelSettings,
    OpenAISettings,
    ProviderName,
    ProviderSettings,
)
from shared.settings.sections.research import ResearchSettings
from shared.settings.sections.server import (
    HealthSettings,
    LimitSettings,
    LoggingSettings,
    MetricsSettings,
    RedisSettings,
    RunSettings,
    ServerSettings,
    TitleSettings,
    WorkerSettings,
)
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
        default={}, description="Further OpenAI-compatible endpoints, by name"
    )
    models: ModelSettings = ModelSettings()
    agents: AgentSettings = AgentSettings()
    run: RunSettings = RunSettings()
    worker: WorkerSettings = WorkerSettings()
    limits: LimitSettings = LimitSettings()
    health: HealthSettings = HealthSettings()
    title: TitleSettings = TitleSettings()
    research: ResearchSettings = ResearchSettings()
    logging: LoggingSettings = LoggingSettings()
    metrics: MetricsSettings = MetricsSettings()

    @model_validator(mode="after")
    def _check_providers(self) -> Self:
        if problem := known.mistake(self):
            raise ValueError(problem)
        return self


@dataclass(frozen=True)
class LoadedSettings:
    """The settings, and the sources that they were put together from, highest first."""

    settings: Settings
    sources: tuple[SettingsSource, ...]

    def origin(self, key: Key) -> str | None:
        """Where a setting comes from: a variable, a file; None: the defaults."""
        return next(filter(None, (source.origin(key) for source in self.sources)), None)

    def renamed_from(self, key: Key) -> Key | None:
        """The old name that it is set by, if it is."""
        source = next((source for source in self.sources if source.origin(key)), None)
        return source.renamed.get(key) if source else None


def load_settings() -> Settings:
    """Read the settings from all their sources.

    Raises:
        SettingsError: naming each wrong key, where it was set and what is wrong with it.
    """
    return read_settings().settings


def read_settings() -> LoadedSettings:
    """The settings, and where each comes from.

    Raises:
        SettingsError: naming each wrong key, where it was set and what is wrong with it.
    """
    sources = tuple(_sources())
    problems = [problem for source in sources for problem in source.problems]
    tree: object = Tree()
    for source in reversed(sources):
        tree = merged(tree, source.tree)
    try:
        settings = Settings.model_validate(with_lists(tree, Settings))
    except ValidationError as error:
        problems += _wrong_values(error, sources)
    else:
        if not problems:
            return LoadedSettings(settings, sources)
    lines = sorted({str(problem) for problem in problems})
    raise SettingsError("The settings are wrong:\n  " + "\n  ".join(lines)) from None


def settings_files() -> tuple[Path, ...]:
    """The files that settings are read from, whether they are there or not."""
    return (*YAML_FILES, *filter(None, [_env_file()]))


def _sources() -> Iterator[SettingsSource]:
    yield read_variables(Settings, os.environ)
    if path := _env_file():
        yield read_env_file(Settings, path, ENV_FILE)
    for path in YAML_FILES:
        yield read_yaml(Settings, path)


def _env_file() -> Path | None:
    """None for a user who has no home, as in some containers."""
    with suppress(RuntimeError):
        return Path(ENV_FILE).expanduser()
    return None


def _wrong_values(
    error: ValidationError, sources: tuple[SettingsSource, ...]
) -> Iterator[SettingsProblem]:
    for wrong in error.errors(include_url=False, include_input=False, include_context=False):
        key = tuple(str(part) for part in wrong["loc"] if part != "[key]")
        text = wrong["msg"].removeprefix("Value error, ")
        if not key:  # what is wrong with several settings together begins with the key of one
            named, _, text = text.partition(": ")
            key = tuple(named.split("."))
        yield SettingsProblem(dotted(key), text, _nearest_origin(key, sources))


def _nearest_origin(key: Key, sources: tuple[SettingsSource, ...]) -> str:
    """Where a key is set, or the section that lacks it."""
    for length in range(len(key), 0, -1):
        for source in sources:
            if origin := source.origin(key[:length]):
                return origin
    return ""
