import pytest
from openai._streaming import ServerSentEvent

from worker.models.openai_client import CompleteStreamDecoder

TEXT = b'data: {"choices":[{"delta":{"content":"Hi"},"finish_reason":null}]}\n\n'
STOP = b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n'
EMPTY_REASON = b'data: {"choices":[{"delta":{"content":"Hi"},"finish_reason":""}]}\n\n'
DONE = b"data: [DONE]\n\n"
ERROR = b'data: {"error":{"message":"overloaded"}}\n\n'


async def events_of(*chunks: bytes) -> list[ServerSentEvent]:
    async def body():  # noqa: ANN202
        for chunk in chunks:
            yield chunk

    return [event async for event in CompleteStreamDecoder().aiter_bytes(body())]


@pytest.mark.parametrize("ending", [STOP + DONE, STOP, DONE, ERROR])
async def test_stream_with_end_marker_is_complete(ending: bytes) -> None:
    assert (await events_of(TEXT, ending))[0].data.startswith("{")


@pytest.mark.parametrize("chunks", [(TEXT,), (TEXT, TEXT), (EMPTY_REASON,), ()])
async def test_stream_without_end_marker_raises(chunks: tuple[bytes, ...]) -> None:
    with pytest.raises(Exception, match="ended before"):
        await events_of(*chunks)
