"""A listener that records messages and gaps."""

from shared.redis.client import Redis
from tests.support.wait import until


class Recorder:
    def __init__(self) -> None:
        self.messages: list[bytes] = []
        self.gaps = 0

    def on_message(self, message: bytes) -> None:
        self.messages.append(message)

    def on_gap(self) -> None:
        self.gaps += 1

    async def has_gaps(self, count: int) -> None:
        """Wait until this many gaps were reported."""

        async def probe() -> bool:
            return self.gaps >= count

        await until(probe)

    async def all_before(self, redis: Redis, channel: str) -> list[bytes]:
        """Return the messages published before this call."""
        await redis.execute_command("PUBLISH", channel, "the end")

        async def probe() -> bool:
            return b"the end" in self.messages

        await until(probe)
        return self.messages[: self.messages.index(b"the end")]
