"""The settings: their sections and defaults, the sources they are read from, and their reload.

Sources in order of precedence: `MAMBA_*` environment variables (nested by `__`), `~/mamba.env`,
`config.local.yaml`, `config/config.yaml`, and the defaults in the sections.
"""

from shared.settings.load import (
    LoadedSettings,
    Settings,
    load_settings,
    read_settings,
    settings_files,
)
from shared.settings.sections.agents import AgentSettings
from shared.settings.sections.auth import ApiKeySettings, AuthSettings, JwtSettings
from shared.settings.sections.chat import ChatSettings, WhenBusy
from shared.settings.sections.models import (
    ModelPriceSettings,
    ModelProfileSettings,
    ModelSettings,
    OpenAISettings,
    ProviderSettings,
)
from shared.settings.sections.monitoring import HealthSettings, LoggingSettings, MetricsSettings
from shared.settings.sections.queue import Priority, QueueSettings
from shared.settings.sections.redis import RedisSettings
from shared.settings.sections.research import ResearchSettings
from shared.settings.sections.runs import RunSettings, TitleSettings, WorkerSettings
from shared.settings.sections.server import (
    BudgetSettings,
    CostBudgetSettings,
    LimitSettings,
    PlaygroundSettings,
    ServerSettings,
)
from shared.settings.sections.webhooks import WebhookSettings

__all__ = [
    "AgentSettings",
    "ApiKeySettings",
    "AuthSettings",
    "BudgetSettings",
    "ChatSettings",
    "CostBudgetSettings",
    "HealthSettings",
    "JwtSettings",
    "LimitSettings",
    "LoadedSettings",
    "LoggingSettings",
    "MetricsSettings",
    "ModelPriceSettings",
    "ModelProfileSettings",
    "ModelSettings",
    "OpenAISettings",
    "PlaygroundSettings",
    "Priority",
    "ProviderSettings",
    "QueueSettings",
    "RedisSettings",
    "ResearchSettings",
    "RunSettings",
    "ServerSettings",
    "Settings",
    "TitleSettings",
    "WebhookSettings",
    "WhenBusy",
    "WorkerSettings",
    "load_settings",
    "read_settings",
    "settings_files",
]
