"""The providers there are, and which of them a model's name means.

A name is `provider/model`, and the model may hold slashes of its own. What stands before the first
slash is a provider only if there is one of that name: `meta-llama/Llama-3` is else a model of the
default provider, and so is every name without a slash.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, NamedTuple

from shared.errors import InvalidRequest
from shared.redis.keys import MAIN_QUEUE
from shared.settings.sections.models import Kind, OpenAISettings, ProviderSettings

if TYPE_CHECKING:
    from shared.settings.load import Settings

OPENAI = "openai"
OPENAI_URL = "https://api.openai.com/v1"

#: The local servers that need no configuration, at the ports they listen on by default.
BUILT_IN: Mapping[str, tuple[Kind, str]] = {
    "ollama": ("ollama", "http://localhost:11434/v1"),
    "vllm": ("vllm", "http://localhost:8000/v1"),
    "lmstudio": ("lmstudio", "http://localhost:1234/v1"),
}


@dataclass(frozen=True, slots=True)
class Provider:
    """One endpoint, as the settings have it. Its key is in `settings`, which shows it to nobody."""

    name: str
    kind: Kind
    base_url: str
    settings: ProviderSettings
    #: The settings speak of it; a built-in one of which they do not may not be running.
    configured: bool


class ModelName(NamedTuple):
    provider: str
    model: str

    def __str__(self) -> str:
        return f"{self.provider}/{self.model}"


def providers_of(settings: "Settings") -> dict[str, Provider]:
    """All there are, by name: OpenAI, the built-in ones, and the configured."""
    found = {OPENAI: _openai(settings.openai)}
    default = _default_provider(settings)
    for name in (*BUILT_IN, *settings.providers):
        found[name] = _provider(name, settings.providers.get(name), default=name == default)
    return found


def has_usable_model(settings: "Settings") -> bool:
    """Whether there is anything to answer with: the demo, or a provider of the default model."""
    return settings.openai.demo or providers_of(settings)[_default_provider(settings)].configured


def configured_providers(settings: "Settings") -> list[Provider]:
    """Those that somebody wants used: they are asked for their health and their models."""
    return [provider for provider in providers_of(settings).values() if provider.configured]


def parse_model_name(settings: "Settings", name: str) -> ModelName:
    """What a name means. Any name means something: whether there is such a model, none can tell."""
    return _split(settings, name) or ModelName(_default_provider(settings), name)


def default_model(settings: "Settings") -> ModelName:
    return parse_model_name(settings, settings.openai.default_model)


def is_model_allowed(settings: "Settings", name: ModelName) -> bool:
    """Whether a request may name it. The default model may always be named."""
    patterns = settings.models.allowed
    if not patterns or name == default_model(settings):
        return True
    return any(_fits(settings, name, pattern) for pattern in patterns)


def queue_for_model(settings: "Settings", name: ModelName) -> str:
    """The queue of runs that ask this model: the first pattern that fits decides."""
    routes = settings.models.queues.items()
    return next((queue for p, queue in routes if _fits(settings, name, p)), MAIN_QUEUE)


def resolve_requested_model(settings: "Settings", name: str | None, *, field: str = "model") -> str:
    """The model that a request asks for, by the name that it gives; the default, if it gives none.

    Raises:
        InvalidRequest: if the settings do not allow it.
    """
    if name is None or settings.openai.demo:
        return name or settings.openai.default_model
    if not is_model_allowed(settings, parse_model_name(settings, name)):
        patterns = ", ".join(settings.models.allowed)
        raise InvalidRequest(
            f"{field}: This model is not allowed. Allowed are {patterns}, and the default where "
            "none is named; GET /models lists them.",
            field=field,
        )
    return name


def fallback_chain(settings: "Settings", name: ModelName) -> list[ModelName]:
    """The model, and those to ask after it, in order: each one's own fall-backs follow it."""
    table = {
        parse_model_name(settings, key): value for key, value in settings.models.fallbacks.items()
    }
    chain = [name]

    def follow(asked: ModelName) -> None:
        for text in table.get(asked, ()):
            if (following := parse_model_name(settings, text)) not in chain:
                chain.append(following)
                follow(following)

    follow(name)
    return chain


def mistake(settings: "Settings") -> str | None:
    """What is wrong with the providers and models as a whole, if anything is."""
    for name, provider in settings.providers.items():
        if provider.base_url is None and name not in BUILT_IN:
            return f"providers.{name}.base_url: Set it; only {', '.join(BUILT_IN)} have their own."
    if loop := _loop(settings):
        return f"models.fallbacks: They go round in a circle: {' → '.join(map(str, loop))}."
    return None


def _loop(settings: "Settings") -> list[ModelName] | None:
    table: dict[ModelName, list[ModelName]] = {
        parse_model_name(settings, key): [parse_model_name(settings, one) for one in value]
        for key, value in settings.models.fallbacks.items()
    }

    def search(path: list[ModelName]) -> list[ModelName] | None:
        for following in table.get(path[-1], ()):
            if following in path:
                return [*path[path.index(following) :], following]
            if found := search([*path, following]):
                return found
        return None

    return next((found for start in table if (found := search([start]))), None)


def _fits(settings: "Settings", name: ModelName, pattern: str) -> bool:
    return fnmatchcase(str(name), str(parse_model_name(settings, pattern)))


def _split(settings: "Settings", name: str) -> ModelName | None:
    provider, slash, model = name.partition("/")
    known = provider == OPENAI or provider in BUILT_IN or provider in settings.providers
    return ModelName(provider, model) if slash and model and known else None


def _default_provider(settings: "Settings") -> str:
    named = _split(settings, settings.openai.default_model)
    return named.provider if named else OPENAI


def _openai(section: OpenAISettings) -> Provider:
    shared_fields = ProviderSettings.model_fields.keys() & OpenAISettings.model_fields.keys()
    settings = ProviderSettings.model_construct(
        **{name: getattr(section, name) for name in shared_fields},
    )
    kind: Kind = "compatible" if section.base_url else "openai"
    usable = section.api_key is not None or section.base_url is not None
    return Provider(OPENAI, kind, section.base_url or OPENAI_URL, settings, configured=usable)


def _provider(name: str, written: ProviderSettings | None, *, default: bool) -> Provider:
    kind, url = BUILT_IN.get(name, ("compatible", ""))
    settings = written or ProviderSettings()
    return Provider(
        name,
        settings.kind or kind,
        (settings.base_url or url).rstrip("/"),
        settings,
        configured=default or written is not None,
    )
