"""The model endpoints."""

from pydantic import Field, SecretStr

from shared.settings.section import Seconds, Section


class ModelProfileSettings(Section):
    """What an endpoint's models can do, where it differs from what their names say."""

    tools: bool = Field(default=True, description="Whether they call tools")
    images: bool = Field(default=True, description="Whether they take images")
    documents: bool = Field(default=False, description="Whether they take PDF files")
    json_schema: bool = Field(default=True, description="Whether they answer to a JSON schema")


class ProviderSettings(Section):
    """One OpenAI-compatible endpoint; its models are `<name>/<model>`."""

    base_url: str = Field(pattern=r"^https?://", description="Base URL, up to and with `/v1`")
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
    base_url: str | None = Field(
        default=None, pattern=r"^https?://", description="Also OPENAI_API_BASE_URL"
    )
    default_model: str = Field(default="gpt-4o", description="Model of requests that name none")
    connect_timeout_seconds: Seconds = Field(default=5, description="Longest wait to connect")
    first_token_timeout_seconds: Seconds = Field(
        default=60, description="Longest wait for the first token"
    )
    timeout_seconds: Seconds = Field(default=60, description="Longest silence between tokens")
    max_retries: int | None = Field(
        default=None, ge=0, description="Failures a run survives; `run.max_retries` where unset"
    )
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
