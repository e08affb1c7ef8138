"""Replies that replicas have confirmed: a failover does not withdraw what they contain.

Each call is followed by a small write and `WAIT` on the same connection. Replication is ordered, so
a replica that has the write has everything that the call read or wrote. The write is needed because
`WAIT` covers only writes of its own connection, and a read or a repeated append writes nothing.
"""

from typing import Any

from redis.exceptions import ConnectionError as RedisConnectionError

from shared.redis import keys
from shared.redis.client import Argument, Pipeline, PipelineWrapper, Redis, as_unavailable
from shared.telemetry.metrics import CONFIRM_SECONDS, UNCONFIRMED

#: Shorter than the time limit of a request, so that the error names the reason.
_TIMEOUT_MS = 2000
_KEY_TTL_MS = 60_000
#: `allow-oom`: a run must also end when the memory is used up.
_WRITE = "#!lua flags=allow-oom\nreturn redis.call('SET', KEYS[1], '1', 'PX', ARGV[1])"


class Unconfirmed(RedisConnectionError):
    """Too few replicas have confirmed a call in time. It may still take effect."""


class Confirmation:
    """The commands that follow a call, and the check of their replies."""

    def __init__(self, replicas: int) -> None:
        self._replicas = replicas

    def commands(self, hash_tag: str = "0") -> list[tuple[Argument, ...]]:
        """Return the write and the wait. On a cluster, the tag names a slot of the node."""
        write = ("EVAL", _WRITE, 1, keys.confirmation(hash_tag), _KEY_TTL_MS)
        return [write, ("WAIT", self._replicas, _TIMEOUT_MS)]

    def check(self, written: object, confirmed: object) -> None:
        """Check the replies to the write and the wait.

        Raises:
            Unconfirmed: if too few replicas have confirmed.
            REDIS_UNAVAILABLE: if the server cannot serve the commands now.
            RedisError: if it rejects them.
        """
        for reply in (written, confirmed):
            if isinstance(reply, Exception):
                raise as_unavailable(reply)
        if not isinstance(confirmed, int) or confirmed < self._replicas:
            UNCONFIRMED.inc()
            raise Unconfirmed(
                f"{confirmed} of {self._replicas} replicas confirmed a call"
                f" within {_TIMEOUT_MS / 1000:g} seconds (redis.confirm_replicas)."
            )


class ConfirmingClient:
    """Confirms each call of a client of one server. Implements `shared.redis.client.Redis`."""

    def __init__(self, client: Redis, confirmation: Confirmation) -> None:
        self._client = client
        self._confirmation = confirmation

    async def execute_command(self, *args: Argument) -> Any:  # noqa: ANN401  (any reply)
        async with self.pipeline(transaction=False) as pipe:
            pipe.execute_command(*args)
            # redis-py adds the command, with user text, to an error that a pipeline raises.
            [reply] = await pipe.execute(raise_on_error=False)
        if isinstance(reply, Exception):
            raise reply
        return reply

    def pipeline(self, *, transaction: bool = True) -> Pipeline:
        if transaction:
            raise ValueError("WAIT does not wait inside a transaction.")
        return _ConfirmingPipeline(self._client.pipeline(transaction=False), self._confirmation)

    async def aclose(self) -> None:
        await self._client.aclose()


class _ConfirmingPipeline(PipelineWrapper):
    def __init__(self, pipeline: Pipeline, confirmation: Confirmation) -> None:
        super().__init__(pipeline)
        self._confirmation = confirmation

    async def execute(self, *, raise_on_error: bool = True) -> list[Any]:
        for command in self._confirmation.commands():
            self._pipeline.execute_command(*command)
        with CONFIRM_SECONDS.time():
            replies = await self._pipeline.execute(raise_on_error=False)
        *replies, written, confirmed = replies
        self._confirmation.check(written, confirmed)
        if raise_on_error and (errors := [r for r in replies if isinstance(r, Exception)]):
            raise errors[0]
        return replies
