"""The memory of the servers that store streams."""

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoPermissionError

from shared.redis.client import Argument
from shared.redis.memory import StreamMemory


class Nodes:
    """Nodes that reply with these memory reports or errors."""

    def __init__(self, *replies: object) -> None:
        self.replies = replies
        self.reads = 0

    async def __call__(self, *command: Argument) -> dict[str, object]:
        assert command == ("INFO", "memory")
        self.reads += 1
        if len(self.replies) == 1 and isinstance(self.replies[0], Exception):
            raise self.replies[0]
        return {str(number): reply for number, reply in enumerate(self.replies)}


def memory(used: int, limit: int = 100) -> dict[str, int]:
    return {"used_memory": used, "maxmemory": limit}


@pytest.mark.parametrize(
    ("replies", "short"),
    [
        ([memory(50), memory(90)], True),
        ([memory(50), memory(80)], False),
        ([memory(90, limit=0)], False),
        ([NoPermissionError("INFO"), memory(90)], True),
        ([NoPermissionError("INFO")], False),
    ],
    ids=["one is short", "none is short", "no limit", "one hides it", "all hide it"],
)
async def test_memory_is_short_if_that_of_any_node_is(
    replies: list[object], *, short: bool
) -> None:
    assert await StreamMemory(Nodes(*replies)).is_short(0.85) is short


async def test_memory_is_not_read_for_each_run() -> None:
    nodes = Nodes(memory(90))
    stream_memory = StreamMemory(nodes)

    assert [await stream_memory.is_short(0.85) for _ in range(10)] == [True] * 10
    assert await stream_memory.is_short(0) is False
    assert nodes.reads == 1


async def test_unreachable_node_is_an_error() -> None:
    with pytest.raises(RedisConnectionError):
        await StreamMemory(Nodes(RedisConnectionError("away"))).is_short(0.85)
