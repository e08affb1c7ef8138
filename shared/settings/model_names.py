"""Model names in the settings: `provider/model`, or a bare name of a default provider's model."""

from collections.abc import Collection, Mapping
from typing import NamedTuple

from shared.settings.sections.models import Kind, ModelSettings, ProviderSettings

OPENAI = "openai"

#: Local servers that need no configuration, with their default base URLs.
BUILT_IN_PROVIDERS: Mapping[str, tuple[Kind, str]] = {
    "ollama": ("ollama", "http://localhost:11434/v1"),
    "vllm": ("vllm", "http://localhost:8000/v1"),
    "lmstudio": ("lmstudio", "http://localhost:1234/v1"),
}


class ModelName(NamedTuple):
    provider: str
    model: str

    def __str__(self) -> str:
        return f"{self.provider}/{self.model}"


class ModelNameParser:
    """Parses model names.

    The part before the first slash is a provider only if that provider exists: without a provider
    `meta-llama`, `meta-llama/Llama-3` is a model of the default provider, like a bare name.
    """

    def __init__(self, configured: Collection[str], default_model: str) -> None:
        self._providers = {OPENAI, *BUILT_IN_PROVIDERS, *configured}
        name = self._split(default_model)
        self.default_provider = name.provider if name else OPENAI

    def parse(self, name: str) -> ModelName:
        """Return the provider and model of a name. Does not check that the model exists."""
        return self._split(name) or ModelName(self.default_provider, name)

    def _split(self, name: str) -> ModelName | None:
        provider, _, model = name.partition("/")
        return ModelName(provider, model) if model and provider in self._providers else None


def validate_models(
    providers: Mapping[str, ProviderSettings], models: ModelSettings, names: ModelNameParser
) -> None:
    """Raise ValueError if a provider lacks its base URL, or fallbacks form a cycle."""
    for name, provider in providers.items():
        if provider.base_url is None and name not in BUILT_IN_PROVIDERS:
            raise ValueError(
                f"providers.{name}.base_url: The base URL is missing. Set it; only "
                f"{', '.join(BUILT_IN_PROVIDERS)} have a default."
            )
    if cycle := _fallback_cycle(models, names):
        path = " → ".join(map(str, cycle))
        raise ValueError(f"models.fallbacks: The fallbacks form a cycle. Break it: {path}.")


def _fallback_cycle(models: ModelSettings, names: ModelNameParser) -> list[ModelName] | None:
    table: dict[ModelName, list[ModelName]] = {
        names.parse(name): list(map(names.parse, fallbacks))
        for name, fallbacks in models.fallbacks.items()
    }

    def search(path: list[ModelName]) -> list[ModelName] | None:
        for following in table.get(path[-1], ()):
            if following in path:
                return [*path[path.index(following) :], following]
            if cycle := search([*path, following]):
                return cycle
        return None

    return next((cycle for start in table if (cycle := search([start]))), None)
