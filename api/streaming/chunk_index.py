"""Positions in a stream as `WorkflowChatTransport` of `@ai-sdk/workflow` counts them.

It counts the chunks that it has received of a run, and requests the rest with `startIndex`. The
first chunk has the index 0. A negative index counts from the end.
"""

from typing import Annotated, NamedTuple

from fastapi import Query

from shared.runs.run import Run
from shared.streams.event_stream import EventStream

TAIL_HEADER = "x-workflow-stream-tail-index"
_LARGEST = 10**9

StartIndex = Annotated[
    int | None,
    Query(
        alias="startIndex",
        ge=-_LARGEST,
        le=_LARGEST,
        description="For `WorkflowChatTransport`: the index of the first chunk to send. A negative"
        " one counts from the end. The path may then contain the ID of a run instead of a chat",
    ),
]


class ChunkPosition(NamedTuple):
    #: The number of chunks that the client does not receive.
    skipped: int
    #: The index of the stream's last chunk.
    tail: int
    #: Whether the run has ended and no chunk follows.
    is_over: bool


async def find_chunk(stream: EventStream, run: Run, start_index: int) -> ChunkPosition:
    """Return where a client that requests this index starts."""
    last = (await stream.tail(run.id)).offset
    count = last - 1 if run.state.ended else last  # `[DONE]` is not a chunk
    skipped = start_index if start_index >= 0 else max(0, count + start_index)
    return ChunkPosition(skipped, count - 1, run.state.ended and skipped >= count)
