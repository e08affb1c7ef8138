"""The configured providers, and the models, queues and fallbacks that model names select."""

from dataclasses import dataclass
from fnmatch import fnmatchcase

from pydantic import SecretStr

from shared.errors import InvalidRequest
from shared.providers.server_kinds import detect_kind
from shared.redis.keys import MAIN_QUEUE
from shared.settings import ModelPriceSettings, OpenAISettings, ProviderSettings, Settings
from shared.settings.model_names import BUILT_IN_PROVIDERS, OPENAI, ModelName, ModelNameParser
from shared.settings.sections.models import EndpointSettings, Kind

#: Advice for a deployment with the demo model.
DEMO_HINT = "set OPENAI_API_KEY to use a real model"

#: The name of the built-in demo model.
DEMO_MODEL = "demo"

OPENAI_URL = "https://api.openai.com/v1"


@dataclass(frozen=True, slots=True)
class Provider:
    """An endpoint of model requests. Its API key stays a secret in `settings`."""

    name: str
    kind: Kind
    base_url: str
    settings: ProviderSettings
    #: Whether the settings mention the provider. An unmentioned built-in one may not be running.
    configured: bool


def providers_of(settings: Settings) -> dict[str, Provider]:
    """Return all providers by name: OpenAI, the built-in and the configured ones."""
    names = (OPENAI, *BUILT_IN_PROVIDERS, *settings.providers)
    return {name: provider_of(settings, name) for name in names}


def provider_of(settings: Settings, name: str) -> Provider:
    if name == OPENAI:
        return _openai(settings.openai)
    default = _parser(settings).default_provider
    return _provider(name, settings.providers.get(name), default=name == default)


def has_usable_model(settings: Settings) -> bool:
    """Return whether the demo model is on or the provider of the default model is configured."""
    default = _parser(settings).default_provider
    return settings.openai.demo or provider_of(settings, default).configured


def configured_providers(settings: Settings) -> list[Provider]:
    """Return the providers that workers check for health and models."""
    return [provider for provider in providers_of(settings).values() if provider.configured]


def parse_model_name(settings: Settings, name: str) -> ModelName:
    """Return the provider and model of a name. Does not check that the model exists."""
    return _parser(settings).parse(name)


def default_model_name(settings: Settings) -> str:
    """Return the name of the model that answers requests without a model."""
    return DEMO_MODEL if settings.openai.demo else settings.openai.default_model


def default_model(settings: Settings) -> ModelName:
    return parse_model_name(settings, settings.openai.default_model)


def is_model_allowed(settings: Settings, name: ModelName) -> bool:
    """Return whether a request may name the model. The default model is always allowed."""
    patterns = settings.models.allowed
    if not patterns or name == default_model(settings):
        return True
    return any(_matches(settings, name, pattern) for pattern in patterns)


def queue_for_model(settings: Settings, name: ModelName) -> str:
    """Return the queue of the first pattern that matches the model."""
    routes = settings.models.queues.items()
    return next((queue for p, queue in routes if _matches(settings, name, p)), MAIN_QUEUE)


def configured_price(settings: Settings, name: ModelName) -> ModelPriceSettings | None:
    """Return the price of the first pattern that matches the model, if there is one."""
    prices = settings.models.prices.items()
    return next((price for p, price in prices if _matches(settings, name, p)), None)


def resolve_requested_model(settings: Settings, name: str | None) -> str:
    """Return the model name of a request, or the default model's name if it has none.

    The demo model answers all requests if it is on.

    Raises:
        InvalidRequest: if the settings do not allow the model.
    """
    if name is None or settings.openai.demo:
        return default_model_name(settings)
    if not is_model_allowed(settings, parse_model_name(settings, name)):
        patterns = ", ".join(settings.models.allowed)
        raise InvalidRequest(
            f"model: This model is not allowed. Use one that matches {patterns}, or omit the "
            "field to use the default model. GET /models lists the allowed models.",
            field="model",
        )
    return name


def fallback_chain(settings: Settings, name: ModelName) -> list[ModelName]:
    """Return the model and its fallbacks in order, each followed by its own fallbacks."""
    parser = _parser(settings)
    table = {parser.parse(key): value for key, value in settings.models.fallbacks.items()}
    chain = [name]

    def follow(model: ModelName) -> None:
        for text in table.get(model, ()):
            if (fallback := parser.parse(text)) not in chain:
                chain.append(fallback)
                follow(fallback)

    follow(name)
    return chain


def _parser(settings: Settings) -> ModelNameParser:
    return ModelNameParser(settings.providers, settings.openai.default_model)


def _matches(settings: Settings, name: ModelName, pattern: str) -> bool:
    return fnmatchcase(str(name), str(parse_model_name(settings, pattern)))


def _openai(section: OpenAISettings) -> Provider:
    identity = {
        "OpenAI-Organization": section.organization,
        "OpenAI-Project": section.project,
    }
    sent = {name: SecretStr(value) for name, value in identity.items() if value is not None}
    settings = ProviderSettings.model_construct(
        **{name: getattr(section, name) for name in EndpointSettings.model_fields}
    ).model_copy(update={"headers": {**sent, **section.headers}})
    detected = detect_kind("", section.base_url) if section.base_url else "openai"
    usable = section.api_key is not None or section.base_url is not None
    kind = section.kind or detected
    return Provider(OPENAI, kind, section.base_url or OPENAI_URL, settings, configured=usable)


def _provider(name: str, section: ProviderSettings | None, *, default: bool) -> Provider:
    kind, default_url = BUILT_IN_PROVIDERS.get(name, (None, ""))
    settings = section or ProviderSettings()
    url = (settings.base_url or default_url).rstrip("/")
    return Provider(
        name,
        settings.kind or kind or detect_kind(name, url),
        url,
        settings,
        configured=default or section is not None,
    )
