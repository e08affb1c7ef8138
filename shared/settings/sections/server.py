"""The plain sections of the settings."""

from typing import Literal

from pydantic import Field

from shared.settings.sections.address import QueueAddress, StreamsAddress
from shared.settings.sections.base import AtStart, Seconds, Section


class ServerSettings(Section):
    host: AtStart[str] = Field(default="127.0.0.1", description="Address the API binds")
    port: AtStart[int] = Field(default=8000, ge=0, le=65535, description="Port the API binds")
    workers: AtStart[int] = Field(default=1, ge=1, description="API processes that share the port")
    cors_origins: AtStart[tuple[str, ...]] = Field(
        default=(), description="Origins of browsers, beside those on localhost; a JSON list"
    )
    heartbeat_seconds: Seconds = Field(default=15, description="Longest silence on a stream")
    shutdown_delay_seconds: AtStart[float] = Field(
        default=0, ge=0, description="SIGTERM: serving, yet not ready"
    )
    shutdown_grace_seconds: AtStart[Seconds] = Field(
        default=10, description="SIGTERM: wait for open responses"
    )


class RedisSettings(Section):
    url: AtStart[QueueAddress] = Field(
        default="redis://localhost:6379/0",
        description="redis://, rediss:// or unix://; sentinel://host,host/service",
    )
    streams_url: AtStart[StreamsAddress | None] = Field(
        default=None,
        description="Runs and their logs apart from the queue: also cluster://host,host",
    )
    max_connections: AtStart[int] = Field(
        default=16, ge=2, description="Connections a process may open"
    )


class RunSettings(Section):
    timeout_seconds: Seconds = Field(default=300, description="Longest time from start to end")
    max_retries: int = Field(default=3, ge=0, description="Failures a run survives")
    max_crashes: int = Field(default=5, ge=0, description="Workers a run may lose")
    max_steps: int = Field(default=20, ge=1, description="Model requests a run may make")
    agent_wait_seconds: Seconds = Field(
        default=30, description="Longest wait for a worker that knows the agent"
    )
    retention_seconds: AtStart[Seconds] = Field(default=3600, description="Replay of ended runs")
    live_ttl_seconds: AtStart[Seconds] = Field(
        default=86_400, description="Longest wait in the queue"
    )


class WorkerSettings(Section):
    concurrency: AtStart[int] = Field(
        default=256, ge=1, description="Runs at once in one worker process"
    )
    lease_seconds: AtStart[Seconds] = Field(default=3, description="A dead worker is noticed after")
    poll_seconds: AtStart[Seconds] = Field(default=0.5, description="Fallback poll of the queue")
    queues: AtStart[tuple[str, ...]] = Field(
        default=(),
        description="Queues it serves, such as `main`; if empty all, of agents and models",
    )
    drain_seconds: AtStart[float] = Field(
        default=30, ge=0, description="SIGTERM: time for running answers"
    )
    metrics_port: AtStart[int] = Field(
        default=0, ge=0, le=65535, description="Port of its `/metrics`, or the next free; 0: none"
    )
    metrics_host: AtStart[str] = Field(
        default="127.0.0.1", description="Address that port is bound to"
    )


class LimitSettings(Section):
    body_bytes: int = Field(default=8 * 1024 * 1024, ge=1024, description="Largest request body")
    messages: int = Field(default=1000, ge=1, description="Messages in a request")
    parts: int = Field(default=1000, ge=1, description="Parts in a message")
    files: int = Field(default=10, ge=0, description="Files in a message")
    file_bytes: int = Field(default=5 * 1024 * 1024, ge=1, description="Largest file")
    media_types: tuple[str, ...] = Field(
        default=(
            "text/*",
            *("image/png", "image/jpeg", "image/webp", "image/gif"),
            "application/pdf",
        ),
        description="Kinds of files; `text/*` are all that read as text, as JSON",
    )
    values: int = Field(default=50_000, ge=1, description="JSON values in all tools' data")
    id_chars: int = Field(default=256, ge=16, description="Length of a chat's or message's id")
    follower_bytes: int = Field(
        default=1024 * 1024, ge=65_536, description="Unsent bytes a slow client holds"
    )
    requests_per_minute: int = Field(
        default=0, ge=0, description="Runs, and titles, of an owner a minute; 0: no limit"
    )
    burst: int = Field(default=10, ge=1, description="How many of either at once within that")
    live_runs: int = Field(
        default=0, ge=0, description="Waiting and running runs of an owner; 0: no limit"
    )
    queue_depth: int = Field(
        default=10_000, ge=0, description="Runs of all owners that may wait; 0: no limit"
    )


class MetricsSettings(Section):
    public: bool = Field(
        default=False, description="`/metrics` for everybody, and not for operators alone"
    )


class LoggingSettings(Section):
    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="Log level"
    )
    format: Literal["json", "console"] = Field(default="json", description="JSON lines, or text")
    include_body: bool = Field(default=False, description="Log request bodies, prompts and all")


class HealthSettings(Section):
    openai_check_enabled: bool = Field(default=True, description="Ask the model endpoints too")
    interval_seconds: Seconds = Field(default=30, description="Age of an answer to ask again")
    timeout_seconds: Seconds = Field(default=5, description="Longest wait for an endpoint")


class TitleSettings(Section):
    max_length: int = Field(default=50, ge=10, le=200, description="Characters of a title")
    timeout_seconds: Seconds = Field(default=10, description="Longest wait for the model")
    model: str | None = Field(default=None, description="Model for titles; unset: the default")
