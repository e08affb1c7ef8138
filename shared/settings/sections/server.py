"""Settings of the API server and the limits of its clients."""

from pydantic import Field

from shared.settings.sections.base import AtStart, Seconds, Section


class ServerSettings(Section):
    host: AtStart[str] = Field(default="127.0.0.1", description="Address that the API listens on")
    port: AtStart[int] = Field(
        default=8000, ge=0, le=65535, description="Port that the API listens on"
    )
    workers: AtStart[int] = Field(
        default=1, ge=1, description="Number of API processes that share the port"
    )
    cors_origins: AtStart[tuple[str, ...]] = Field(
        default=(), description="Allowed browser origins in addition to localhost, as a JSON list"
    )
    heartbeat_seconds: Seconds = Field(
        default=15, description="Interval of keep-alive comments on an idle SSE stream"
    )
    shutdown_delay_seconds: AtStart[float] = Field(
        default=0,
        ge=0,
        description="Time after SIGTERM during which the API still serves but reports not ready",
    )
    shutdown_grace_seconds: AtStart[Seconds] = Field(
        default=10, description="Time after SIGTERM that open responses get to finish"
    )


class LimitSettings(Section):
    body_bytes: int = Field(
        default=8 * 1024 * 1024, ge=1024, description="Maximum size of a request body in bytes"
    )
    messages: int = Field(default=1000, ge=1, description="Maximum number of messages in a request")
    parts: int = Field(default=1000, ge=1, description="Maximum number of parts in a message")
    files: int = Field(default=10, ge=0, description="Maximum number of files in a message")
    file_bytes: int = Field(
        default=5 * 1024 * 1024, ge=1, description="Maximum size of a file in bytes"
    )
    media_types: tuple[str, ...] = Field(
        default=(
            "text/*",
            *("image/png", "image/jpeg", "image/webp", "image/gif"),
            "application/pdf",
        ),
        description="Accepted file types; `text/*` covers every text format, including JSON",
    )
    values: int = Field(
        default=50_000,
        ge=1,
        description="Maximum number of JSON values in the tool data of a request",
    )
    id_chars: int = Field(default=256, ge=16, description="Maximum length of a chat or message id")
    follower_bytes: int = Field(
        default=1024 * 1024,
        ge=65_536,
        description="Maximum number of unsent bytes buffered for a slow client",
    )
    requests_per_minute: int = Field(
        default=0,
        ge=0,
        description="Runs per minute and owner, and separately titles; 0 means no limit",
    )
    burst: int = Field(default=10, ge=1, description="Burst size of that rate limit")
    live_runs: int = Field(
        default=0, ge=0, description="Maximum number of live runs per owner; 0 means no limit"
    )
    queue_depth: int = Field(
        default=10_000,
        ge=0,
        description="Maximum number of waiting runs of all owners; 0 means no limit",
    )
