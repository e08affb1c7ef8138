"""The model endpoints."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr, StringConstraints

from shared.agent_name import AgentName
from shared.settings.sections.address import HttpAddress
from shared.settings.sections.base import Seconds, Section

#: The server software of an endpoint. It selects the workarounds that Mamba applies.
Kind = Literal["openai", "ollama", "vllm", "lmstudio", "compatible"]


def _not_openai(name: str) -> str:
    if name == "openai":
        raise ValueError(
            "The name `openai` is reserved. Configure that endpoint in the `openai` section."
        )
    return name


#: Lowercase, because environment variables are case-insensitive. Excludes `/`, which ends the
#: provider in a model name, and `.`, which separates the parts of a settings key.
ProviderName = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$"),
    AfterValidator(_not_openai),
]


class ModelProfileSettings(Section):
    """Capabilities of an endpoint's models that override those derived from the model name."""

    tools: bool | None = Field(default=None, description="Whether the models support tool calls")
    images: bool | None = Field(default=None, description="Whether the models accept images")
    documents: bool | None = Field(default=None, description="Whether the models accept PDF files")
    json_schema: bool | None = Field(
        default=None, description="Whether the models support JSON Schema output"
    )
    strict_tools: bool | None = Field(
        default=None, description="Whether the models accept `strict` in tool definitions"
    )
    reasoning_field: str | None = Field(
        default=None,
        min_length=1,
        description="Name of the response field that holds the reasoning, if it is nonstandard",
    )
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] | None = Field(
        default=None, description="Request field that limits the number of output tokens"
    )
    system_role: Literal["system", "developer", "user"] | None = Field(
        default=None, description="Role of system messages"
    )
    one_system_message: bool | None = Field(
        default=None, description="Whether a request may contain only one system message"
    )


class EndpointSettings(Section):
    """The settings of a model endpoint, whichever section configures it."""

    base_url: HttpAddress | None = Field(
        default=None,
        description="Base URL including `/v1`; optional for built-in providers",
    )
    api_key: SecretStr | None = Field(
        default=None, description="API key, if the endpoint requires one"
    )
    headers: dict[str, SecretStr] = Field(
        default={}, description="Additional headers of each request"
    )
    connect_timeout_seconds: Seconds = Field(default=5, description="Connection timeout")
    first_token_timeout_seconds: Seconds = Field(
        default=60, description="Maximum wait for the first token"
    )
    timeout_seconds: Seconds = Field(default=60, description="Maximum time between two tokens")
    max_retries: int | None = Field(
        default=None,
        ge=0,
        description="Maximum retries after failed attempts; `run.max_retries` if unset",
    )
    profile: ModelProfileSettings = ModelProfileSettings()
    models: tuple[str, ...] = Field(
        default=(), description="Model ids; requested from the endpoint if empty"
    )


class ProviderSettings(EndpointSettings):
    """An OpenAI-compatible endpoint. Its models are named `<name>/<model>`."""

    kind: Kind | None = Field(
        default=None,
        description=(
            "Server software: openai, ollama, vllm, lmstudio or compatible; derived from the name "
            "if unset"
        ),
    )


class OpenAISettings(EndpointSettings):
    api_key: SecretStr | None = Field(
        default=None, description="API key; also read from `OPENAI_API_KEY`"
    )
    base_url: HttpAddress | None = Field(
        default=None, description="Base URL; also read from `OPENAI_API_BASE_URL`"
    )
    default_model: str = Field(
        default="gpt-4o",
        min_length=1,
        description=(
            "Model of requests that name none; names without a provider belong to this model's "
            "provider"
        ),
    )
    demo: bool = Field(default=False, description="Use the built-in demo model for every request")


class ModelSettings(Section):
    """Models that a request may name, their fallbacks and their queues."""

    allowed: tuple[str, ...] = Field(
        default=(),
        description="Patterns of allowed models, such as `openai/gpt-4*`; all models if empty",
    )
    fallbacks: dict[str, tuple[str, ...]] = Field(
        default={}, description="Models to try next, by the model that failed"
    )
    queues: dict[str, AgentName] = Field(
        default={},
        description="Queue of runs by model pattern; the first match applies, else `main`",
    )
