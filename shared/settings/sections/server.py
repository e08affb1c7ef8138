"""Settings of the server, Redis, runs, workers, limits, logging, metrics, health and titles."""

from typing import Literal

from pydantic import Field

from shared.settings.sections.address import QueueAddress, StreamsAddress
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


class RedisSettings(Section):
    url: AtStart[QueueAddress] = Field(
        default="redis://localhost:6379/0",
        description="Redis URL: `redis://`, `rediss://`, `unix://`, or `sentinel://host,host/service`",
    )
    streams_url: AtStart[StreamsAddress | None] = Field(
        default=None,
        description="Second Redis for runs and their streams (split storage); also accepts `cluster://host,host`",
    )
    max_connections: AtStart[int] = Field(
        default=16, ge=2, description="Maximum number of connections per process"
    )


class RunSettings(Section):
    timeout_seconds: Seconds = Field(default=300, description="Maximum duration of a run")
    max_retries: int = Field(
        default=3, ge=0, description="Maximum number of retries after failed attempts"
    )
    max_crashes: int = Field(
        default=5, ge=0, description="Maximum number of worker crashes that a run survives"
    )
    max_steps: int = Field(
        default=20, ge=1, description="Maximum number of model requests in a run"
    )
    agent_wait_seconds: Seconds = Field(
        default=30, description="Maximum wait for a worker that offers the agent"
    )
    retention_seconds: AtStart[Seconds] = Field(
        default=3600, description="How long an ended run can be replayed"
    )
    live_ttl_seconds: AtStart[Seconds] = Field(
        default=86_400, description="Maximum time that a run can wait in the queue"
    )


class WorkerSettings(Section):
    concurrency: AtStart[int] = Field(
        default=256, ge=1, description="Concurrent runs in one worker process"
    )
    lease_seconds: AtStart[Seconds] = Field(
        default=3,
        description="Lease duration; a dead worker's runs are taken over after it expires",
    )
    poll_seconds: AtStart[Seconds] = Field(
        default=0.5, description="Interval of the fallback poll of the queue"
    )
    queues: AtStart[tuple[str, ...]] = Field(
        default=(),
        description="Queues that the worker serves, such as `main`; all queues if empty",
    )
    drain_seconds: AtStart[float] = Field(
        default=30, ge=0, description="Time after SIGTERM that active runs get to finish"
    )
    metrics_port: AtStart[int] = Field(
        default=0,
        ge=0,
        le=65535,
        description="Port of the worker's `/metrics`, or the next free port; 0 disables it",
    )
    metrics_host: AtStart[str] = Field(
        default="127.0.0.1", description="Address that the metrics port listens on"
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


class MetricsSettings(Section):
    public: bool = Field(
        default=False,
        description="Serve `/metrics` without authentication instead of to operators only",
    )


class LoggingSettings(Section):
    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="Log level"
    )
    format: Literal["json", "console"] = Field(
        default="json", description="`json` for JSON lines, `console` for readable text"
    )
    include_body: bool = Field(default=False, description="Log request bodies, including prompts")


class HealthSettings(Section):
    openai_check_enabled: bool = Field(
        default=True, description="Include the model endpoints in health checks"
    )
    interval_seconds: Seconds = Field(
        default=30, description="Interval between checks of a model endpoint"
    )
    timeout_seconds: Seconds = Field(default=5, description="Timeout of a model endpoint check")


class TitleSettings(Section):
    max_length: int = Field(
        default=50, ge=10, le=200, description="Maximum length of a title in characters"
    )
    timeout_seconds: Seconds = Field(
        default=10, description="Maximum wait for the model that generates the title"
    )
    model: str | None = Field(
        default=None, description="Model that generates titles; the default model if unset"
    )
