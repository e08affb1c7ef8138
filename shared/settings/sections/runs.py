"""Settings of runs, of the workers that execute them, and of chat titles."""

from pydantic import Field

from shared.settings.sections.base import AtStart, Seconds, Section


class RunSettings(Section):
    timeout_seconds: Seconds = Field(
        default=300, description="Maximum duration of a run from its first start"
    )
    max_retries: int = Field(
        default=3, ge=0, description="Maximum number of retries after failed attempts"
    )
    max_crashes: int = Field(
        default=5, ge=0, description="Maximum number of worker crashes that a run survives"
    )
    max_steps: int = Field(
        default=20, ge=1, description="Maximum number of model requests in a run"
    )
    answer_bytes: int = Field(
        default=32 * 1024 * 1024,
        ge=1024 * 1024,
        description="Maximum size of an answer in bytes, as its stream stores it",
    )
    agent_wait_seconds: Seconds = Field(
        default=30, description="Maximum wait for a worker that offers the agent"
    )
    retention_seconds: AtStart[Seconds] = Field(
        default=3600, description="How long an ended run can be replayed"
    )
    live_ttl_seconds: AtStart[Seconds] = Field(
        default=86_400, description="Maximum time that a run waits in the queue before it expires"
    )


class WorkerSettings(Section):
    processes: AtStart[int] = Field(
        default=1,
        ge=1,
        description="Number of processes that `mamba worker` runs; each uses one core and has "
        "its own slots",
    )
    concurrency: AtStart[int] = Field(
        default=256, ge=1, description="Concurrent runs in one worker process"
    )
    lease_seconds: AtStart[Seconds] = Field(
        default=3,
        description="Duration of a job's lease; when it expires, another worker continues the run",
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
