"""Settings of the Redis servers."""

from pydantic import Field

from shared.settings.sections.address import QueueAddress, StreamsAddress
from shared.settings.sections.base import AtStart, Section


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
        default=16,
        ge=2,
        description="Maximum number of connections in each pool. A process has a pool per node of "
        "Redis, and a second one with `confirm_replicas`. Subscriptions are extra",
    )
    confirm_replicas: AtStart[int] = Field(
        default=0,
        ge=0,
        le=16,
        description="Number of replicas that must confirm events and accepted chats before clients "
        "receive them; 0: off",
    )
