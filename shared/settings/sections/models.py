"""The model endpoints."""

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints

from shared.agent_name import AgentName
from shared.settings.sections.base import Seconds, Section
from shared.settings.sections.http_values import (
    ApiKey,
    BaseUrl,
    HeaderName,
    HeaderText,
    HeaderValue,
)

#: The server software of an endpoint. It selects the workarounds that Mamba applies.
Kind = Literal[
    "openai",
    "anthropic",
    "azure",
    "cerebras",
    "deepseek",
    "fireworks",
    "gemini",
    "groq",
    "litellm",
    "llamacpp",
    "lmstudio",
    "mistral",
    "moonshot",
    "ollama",
    "openrouter",
    "qwen",
    "sglang",
    "tgi",
    "together",
    "vllm",
    "xai",
    "zai",
    "compatible",
]

#: How the reasoning of earlier answers is sent to the model.
SendReasoning = Literal["received", "field", "tags", "never"]


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
    """What an endpoint and its models support. Unset fields are derived from server and model."""

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
    reasoning_tag: str | None = Field(
        default=None,
        pattern=r"^\w{1,32}$",
        description=(
            "Name of the tag in which the models write reasoning at the start of the text, besides "
            "`think`, `thinking`, and `thought`"
        ),
    )
    send_reasoning: SendReasoning | None = Field(
        default=None,
        description=(
            "How reasoning of earlier answers is sent to the model: as received, always in "
            "`reasoning_field`, in tags, or never"
        ),
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
    inline_system_messages: bool | None = Field(
        default=None,
        description=(
            "Whether system messages may follow other messages; otherwise they are sent as part of "
            "the user's messages"
        ),
    )
    alternating_roles: bool | None = Field(
        default=None,
        description=(
            "Whether user and assistant messages must alternate, starting with the user's; "
            "consecutive ones are then merged"
        ),
    )
    stream_usage: bool | None = Field(
        default=None,
        description="Whether to request token usage with `stream_options`",
    )
    tool_choice: Literal["required", "auto", "never"] | None = Field(
        default=None,
        description=("Which `tool_choice` the endpoint accepts: any, only `auto`, or none"),
    )
    parallel_tool_calls: bool | None = Field(
        default=None,
        description=("Value of `parallel_tool_calls` in requests with tools; not sent if unset"),
    )
    tool_call_id_length: int | None = Field(
        default=None,
        ge=1,
        le=64,
        description=(
            "Exact length of the alphanumeric tool call IDs that the model accepts; other IDs are "
            "replaced by a hash"
        ),
    )


class EndpointSettings(Section):
    """The settings of a model endpoint, whichever section configures it."""

    base_url: BaseUrl | None = Field(
        default=None,
        description="Base URL including `/v1`; optional for built-in providers",
    )
    kind: Kind | None = Field(
        default=None,
        description=("Server software; derived from the host and the provider's name if unset"),
    )
    api_key: ApiKey | None = Field(
        default=None, description="API key, if the endpoint requires one"
    )
    headers: dict[HeaderName, HeaderValue] = Field(
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
        description="Maximum number of retries after failed attempts; `run.max_retries` if unset",
    )
    profile: ModelProfileSettings = ModelProfileSettings()
    models: tuple[str, ...] = Field(
        default=(), description="Model IDs; requested from the endpoint if empty"
    )


class ProviderSettings(EndpointSettings):
    """An OpenAI-compatible endpoint. Its models are named `<name>/<model>`."""


class OpenAISettings(EndpointSettings):
    api_key: ApiKey | None = Field(
        default=None, description="API key; also read from `OPENAI_API_KEY`"
    )
    base_url: BaseUrl | None = Field(
        default=None,
        description=(
            "Base URL; also read from `OPENAI_BASE_URL`, `OPENAI_API_BASE_URL`, and "
            "`OPENAI_API_BASE`"
        ),
    )
    organization: HeaderText | None = Field(
        default=None,
        min_length=1,
        description="Header `OpenAI-Organization`; also read from `OPENAI_ORG_ID` and "
        "`OPENAI_ORGANIZATION`",
    )
    project: HeaderText | None = Field(
        default=None,
        min_length=1,
        description="Header `OpenAI-Project`; also read from `OPENAI_PROJECT_ID`",
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


#: Of a million tokens, in US dollars.
Price = Annotated[float, Field(ge=0, le=1_000_000)]


class ModelPriceSettings(Section):
    """The price of a model's tokens."""

    input: Price = Field(description="US dollars per million input tokens")
    output: Price = Field(description="US dollars per million output tokens")

    def cost(self, input_tokens: int, output_tokens: int) -> Decimal:
        """Return the cost in US dollars."""
        dollars = (
            Decimal(str(self.input)) * input_tokens + Decimal(str(self.output)) * output_tokens
        )
        return dollars / 1_000_000


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
    prices: dict[str, ModelPriceSettings] = Field(
        default={},
        description="Prices of tokens by model pattern; the first match applies, else the public "
        "price of the model, if it is known",
    )
