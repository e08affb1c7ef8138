"""The model endpoints."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr, StringConstraints

from shared.agents.card import AgentName
from shared.settings.sections.address import HttpAddress
from shared.settings.sections.base import Seconds, Section

#: Whose server an endpoint is: what it does in its own way.
Kind = Literal["openai", "ollama", "vllm", "lmstudio", "compatible"]


def _not_openai(name: str) -> str:
    if name == "openai":
        raise ValueError("this one is configured under openai")
    return name


#: Lower case, since a variable's name has no case. It may not hold the slash that ends it, nor the
#: dot that keys are spelled with.
ProviderName = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$"),
    AfterValidator(_not_openai),
]


class ModelProfileSettings(Section):
    """What an endpoint's models can do, where it differs from what their names say."""

    tools: bool | None = Field(default=None, description="Whether they call tools")
    images: bool | None = Field(default=None, description="Whether they take images")
    documents: bool | None = Field(default=None, description="Whether they take PDF files")
    json_schema: bool | None = Field(
        default=None, description="Whether they answer to a JSON schema"
    )
    strict_tools: bool | None = Field(
        default=None, description="Whether they take `strict` in a tool's definition"
    )
    reasoning_field: str | None = Field(
        default=None, min_length=1, description="Field of their reasoning, if an unusual one"
    )
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] | None = Field(
        default=None, description="Field that limits the length of an answer"
    )
    system_role: Literal["system", "developer", "user"] | None = Field(
        default=None, description="Role that system messages are sent in"
    )
    one_system_message: bool | None = Field(
        default=None, description="Whether they take one system message at most"
    )


class ProviderSettings(Section):
    """One OpenAI-compatible endpoint; its models are `<name>/<model>`."""

    base_url: HttpAddress | None = Field(
        default=None,
        description="Base URL, up to and with `/v1`; a built-in provider's own where unset",
    )
    kind: Kind | None = Field(
        default=None,
        description="Whose server it is: openai, ollama, vllm, lmstudio or compatible; by its name",
    )
    api_key: SecretStr | None = Field(default=None, description="Key, where it wants one")
    headers: dict[str, SecretStr] = Field(default={}, description="Headers of each request")
    connect_timeout_seconds: Seconds = Field(default=5, description="Longest wait to connect")
    first_token_timeout_seconds: Seconds = Field(
        default=60, description="Longest wait for the first token"
    )
    timeout_seconds: Seconds = Field(default=60, description="Longest silence between tokens")
    max_retries: int | None = Field(
        default=None, ge=0, description="Failures a run survives; `run.max_retries` where unset"
    )
    profile: ModelProfileSettings = ModelProfileSettings()
    models: tuple[str, ...] = Field(default=(), description="Its models; asked for where empty")


class OpenAISettings(Section):
    api_key: SecretStr | None = Field(default=None, description="Also read from OPENAI_API_KEY")
    base_url: HttpAddress | None = Field(default=None, description="Also OPENAI_API_BASE_URL")
    default_model: str = Field(
        default="gpt-4o",
        min_length=1,
        description="Model of requests that name none; bare names are its provider's",
    )
    headers: dict[str, SecretStr] = Field(default={}, description="Headers of each request")
    connect_timeout_seconds: Seconds = Field(default=5, description="Longest wait to connect")
    first_token_timeout_seconds: Seconds = Field(
        default=60, description="Longest wait for the first token"
    )
    timeout_seconds: Seconds = Field(default=60, description="Longest silence between tokens")
    max_retries: int | None = Field(
        default=None, ge=0, description="Failures a run survives; `run.max_retries` where unset"
    )
    profile: ModelProfileSettings = ModelProfileSettings()
    models: tuple[str, ...] = Field(default=(), description="Its models; asked for where empty")
    demo: bool = Field(default=False, description="Answer with the built-in demo model")


class ModelSettings(Section):
    """Which models a request may name, and what stands in for one that fails."""

    allowed: tuple[str, ...] = Field(
        default=(), description="Patterns such as `openai/gpt-4*`; all where empty"
    )
    fallbacks: dict[str, tuple[str, ...]] = Field(
        default={}, description="Models to ask next, by the model that failed"
    )
    queues: dict[str, AgentName] = Field(
        default={},
        description="Queue of a model's runs, by patterns; the first that fits, `main` if none",
    )
