"""The decoder of streamed answers, with what servers send in place of OpenAI's stream."""

import json
import re
from typing import Any

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.models.transport import event_lines
from worker.models.transport.event_decoder import AnswerDecoder
from worker.models.transport.unusable_response import UnusableResponse

TEXT = b'data: {"choices":[{"delta":{"content":"Hi"},"finish_reason":null}]}\n\n'
STOP = b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n'
EMPTY_REASON = b'data: {"choices":[{"delta":{"content":"Hi"},"finish_reason":""}]}\n\n'
_DELTA = re.compile(r'{"choices":\[{"delta":{"content":"((?:Hi)+)"},"finish_reason":null}]}')
DONE = b"data: [DONE]\n\n"
ERROR = b'data: {"error":{"message":"overloaded"}}\n\n'


async def decode(*chunks: bytes, content_type: str = "text/event-stream") -> list[str]:
    async def body():  # noqa: ANN202
        for chunk in chunks:
            yield chunk

    return [event.data async for event in AnswerDecoder(content_type).aiter_bytes(body())]


async def content_of(*chunks: bytes) -> str:
    """The text of an answer."""
    events = [json.loads(data) for data in await decode(*chunks) if data != "[DONE]"]
    choices = [choice for event in events for choice in event.get("choices") or ()]
    deltas = [choice["delta"] if "delta" in choice else choice["message"] for choice in choices]
    return "".join(delta.get("content") or "" for delta in deltas)


def joined(events: list[str]) -> list[str]:
    """The events, with the texts of successive deltas joined."""
    found: list[str] = []
    for data in events:
        match = _DELTA.fullmatch(data)
        text = match.group(1) if match else data
        if match and found and re.fullmatch("(Hi)+", found[-1]):
            found[-1] += text
        else:
            found.append(text)
    return found


async def error_of(*chunks: bytes) -> dict[str, Any]:
    """The error that the last event holds, in the form that the SDK recognizes."""
    return json.loads((await decode(*chunks))[-1])["error"]


@pytest.mark.parametrize("ending", [STOP + DONE, STOP, DONE, ERROR])
async def test_stream_with_end_marker_is_complete(ending: bytes) -> None:
    assert (await decode(TEXT, ending))[0].startswith("{")


@pytest.mark.parametrize("chunks", [(TEXT,), (TEXT, TEXT), (EMPTY_REASON,)])
async def test_stream_without_end_marker_raises(chunks: tuple[bytes, ...]) -> None:
    with pytest.raises(httpx2.RemoteProtocolError, match="ended before"):
        await decode(*chunks)


@pytest.mark.parametrize(
    "stream",
    [
        TEXT + STOP + DONE,
        (TEXT + STOP + DONE).replace(b"data: ", b"data:"),
        (TEXT + STOP + DONE).replace(b"\n", b"\r\n"),
        (TEXT + STOP + DONE).replace(b"\n", b"\r"),
        (TEXT + STOP + DONE).replace(b"\n\n", b"\n"),
        b"\xef\xbb\xbf" + TEXT + STOP,
        b"\n\n  " + TEXT + STOP,
        b": OPENROUTER PROCESSING\n\n" + TEXT + b": ping\n\n" + STOP,
        b"event: message\nid: 1\nretry: 10\n" + TEXT + STOP,
        TEXT + STOP.rstrip(),
        b'data: {"choices":\ndata: [{"delta":{"content":"Hi"}}]}\n\n' + STOP,
        b'data: {"type":"ping"}\n\n' + TEXT + STOP,
    ],
    ids=[
        "plain",
        "no-space",
        "crlf",
        "cr",
        "no-blank-lines",
        "byte-order-mark",
        "leading-white-space",
        "comments",
        "other-fields",
        "no-last-line-end",
        "data-in-two-lines",
        "ping",
    ],
)
async def test_variants_of_a_stream_are_read(stream: bytes) -> None:
    assert await content_of(stream) == "Hi"
    assert await content_of(*(bytes([byte]) for byte in stream)) == "Hi"


PAUSES = [
    *(b"data: ping", b"data:ping", b"data: PING ", b"data: [ping]", b'data: "ping"', b"data: pong"),
    *(b"data: heartbeat", b"data: keep-alive", b"data: [KEEPALIVE]", b"data: : keep-alive"),
    *(b"data:", b"data: ", b"data", b"data: null", b"data: {}", b"event: ping\ndata: ping"),
]


@pytest.mark.parametrize("pause", PAUSES)
@pytest.mark.parametrize("end", [b"\n\n", b"\n"])
async def test_pause_of_a_server_is_skipped(pause: bytes, end: bytes) -> None:
    stream = pause + end + TEXT + pause + end + STOP + pause + end + DONE

    assert await content_of(stream) == "Hi"
    assert await content_of(*(bytes([byte]) for byte in stream)) == "Hi"


@pytest.mark.parametrize("mark", [b"[done]", b"[Done]", b" [DONE] ", b"DONE", b'"[DONE]"', b"done"])
@pytest.mark.parametrize("end", [b"\n\n", b"\n", b""])
async def test_end_mark_in_any_spelling_ends_the_stream(mark: bytes, end: bytes) -> None:
    assert (await decode(TEXT, b"data:" + mark + end))[-1] == "[DONE]"


@pytest.mark.parametrize("garbage", [b"pinged", b"true", b"5", b'"Hi"', b"{ping}"])
async def test_event_that_is_no_known_mark_is_passed_on(garbage: bytes) -> None:
    """The client rejects it with a code."""
    data = (await decode(b"data: " + garbage + b"\n\n", TEXT, STOP))[0]

    assert data == garbage.decode()


async def test_invalid_utf_8_becomes_replacement_characters() -> None:
    assert await content_of(TEXT.replace(b"Hi", b"H\xff"), STOP) == "H\ufffd"


MINIMAX = b'{"choices": %s, "base_resp": {"status_code": %s, "status_msg": "insufficient balance"}}'
MESSAGE = {"role": "assistant", "content": "Hi", "reasoning_content": "Hm"}
COMPLETION = {
    "id": "1",
    "object": "chat.completion",
    "model": "m",
    "choices": [{"index": 0, "message": MESSAGE, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
}


@pytest.mark.parametrize("content_type", ["application/json", "text/event-stream", "text/plain"])
async def test_whole_completion_is_an_answer(content_type: str) -> None:
    body = json.dumps(COMPLETION, indent=2).encode()
    [data] = await decode(body[:20], body[20:], content_type=content_type)
    assert json.loads(data) == COMPLETION


@pytest.mark.parametrize("prefix", [b"", b"data: "])
async def test_half_an_emoji_does_not_end_the_answer(prefix: bytes) -> None:
    body = {**COMPLETION, "choices": [{"message": {"content": "\ud83d"}, "finish_reason": "stop"}]}
    assert await content_of(prefix + json.dumps(body).encode() + b"\n\n") == "\ud83d"


async def test_completion_as_an_event_is_an_answer() -> None:
    assert await content_of(b"data: " + json.dumps(COMPLETION).encode() + b"\n\n", DONE) == "Hi"


async def test_one_chunk_per_line_is_an_answer() -> None:
    lines = (TEXT + STOP).replace(b"data: ", b"").replace(b"\n\n", b"\n")
    assert await content_of(lines) == "Hi"


@pytest.mark.parametrize(
    ("event", "message"),
    [
        (b'data: {"error": {"message": "boom", "code": "500"}}\n\n', "boom"),
        (b'data: {"error": "boom"}\n\n', "boom"),
        (b'event: error\ndata: {"type":"error","error":{"message":"boom"}}\n\n', "boom"),
        (b"event: error\ndata: boom\n\n", "boom"),
        (b'event: error\ndata: {"message": "boom"}\n\n', "boom"),
        (b'data: {"object": "error", "message": "boom"}\n\n', "boom"),
        (b'error: {"code": 500, "message": "boom"}\n\n', "boom"),
        (b'data: [{"error": {"message": "boom"}}]\n\n', "boom"),
        (b'data: {"choices": [], "error": {"message": "boom"}}\n\n', "boom"),
        (b'data: {"message": "boom", "code": 1}\n\n', "boom"),
        (b'data: {"choices": null, "message": "boom"}\n\n', "boom"),
        (b'data: {"Error": {"message": "boom"}}\n\n', "boom"),
    ],
)
async def test_errors_in_a_stream_have_one_form(event: bytes, message: str) -> None:
    assert (await error_of(event))["message"] == message
    assert (await error_of(TEXT, event))["message"] == message


@pytest.mark.parametrize(
    ("body", "content_type", "reason"),
    [
        (b"<!DOCTYPE html><h1>Log in</h1>", "text/html", "not_a_completion"),
        (b"upstream connect error", "text/plain", "not_a_completion"),
        (b"", "application/json", "not_a_completion"),
        (b" \n", "text/event-stream", "not_a_completion"),
        (b"{}", "application/json", "not_a_completion"),
        (b"[]", "application/json", "not_a_completion"),
        (b"{", "application/json", "not_a_completion"),
        (b'{"error": "Unexpected endpoint or method. (POST /x)"}', "application/json", "endpoint"),
        (b'{"error": {"message": "No."}}', "application/json", "rejected"),
        (b'{"error": {"message": "x", "code": 429}}', "application/json", "rate_limit"),
        (b'{"code": 401, "msg": "x", "data": null}', "application/json", "authentication"),
        (b'{"error_code": 18, "error_msg": "Too many requests"}', "text/plain", "rate_limit"),
        (b'{"Error": {"Code": "Throttling", "Message": "x"}}', "application/json", "rate_limit"),
        (b'{"success": false, "errorMessage": "x"}', "application/json", "rejected"),
        (MINIMAX % (b"null", b"1008"), "application/json", "quota"),
        (b'event: message_start\ndata: {"type": "message_start"}\n\n', "x", "not_a_completion"),
    ],
)
async def test_response_without_an_answer_is_unusable(
    body: bytes, content_type: str, reason: str
) -> None:
    with pytest.raises(UnusableResponse) as raised:
        await decode(body, content_type=content_type)
    assert raised.value.upstream.reason == reason


async def test_failed_status_beside_the_choices_is_an_error() -> None:
    failed = MINIMAX % (b"null", b"1008")
    assert (await error_of(b"data: " + failed + b"\n\n"))["status_code"] == 1008

    [data] = await decode(MINIMAX % (b"[]", b"0"), content_type="application/json")
    assert json.loads(data)["choices"] == []


@pytest.mark.parametrize(
    "stream", [DONE, b": ping\n\n" + DONE, b'data: {"type":"ping"}\n\n' + DONE]
)
async def test_stream_without_data_may_be_repeated(stream: bytes) -> None:
    with pytest.raises(UnusableResponse) as raised:
        await decode(stream)
    assert raised.value.upstream.reason is None
    assert raised.value.upstream.received == "The server sent an empty stream."


async def test_content_type_is_reported_without_parameters() -> None:
    with pytest.raises(UnusableResponse) as raised:
        await decode(b"<html>", content_type="Text/HTML; charset=utf-8")
    assert raised.value.upstream.content_type == "text/html"


@pytest.mark.parametrize("start", [b"data: ", b'data: {"choices":[]}\n\ndata: ', b"{", b": "])
async def test_endless_line_is_refused(start: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_lines, "MAX_EVENT_BYTES", 1000)
    monkeypatch.setattr("worker.models.transport.event_decoder.MAX_EVENT_BYTES", 1000)
    with pytest.raises(UnusableResponse) as raised:
        await decode(start, *[b"x" * 100] * 20)
    assert raised.value.upstream.reason == "too_large"


async def test_endless_event_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_lines, "MAX_EVENT_BYTES", 1000)
    with pytest.raises(UnusableResponse) as raised:
        await decode(*[b"data: [1,\n"] * 1000)
    assert raised.value.upstream.reason == "too_large"


_PARTS = (TEXT, STOP, DONE, ERROR, b"\n", b"\r\n", b"data:", b"data: {", b'"choices":', b"id\n")
_MORE = (b"event: error\n", b": c\n", b"[", b"{", b"}", b"<", b"\xef\xbb\xbf", b'{"error":1}\n\n')
_LINES = st.sampled_from([*_PARTS, *_MORE])


@settings(max_examples=max(200, settings().max_examples))
@given(st.lists(_LINES | st.binary(max_size=30), max_size=12))
async def test_any_bytes_end_in_an_answer_or_a_known_error(pieces: list[bytes]) -> None:
    try:
        events = await decode(*pieces)
    except (UnusableResponse, httpx2.RemoteProtocolError):
        return
    assert events


@settings(max_examples=max(200, settings().max_examples))
@given(st.lists(_LINES | st.binary(max_size=30), max_size=8), st.integers(1, 7))
async def test_result_does_not_depend_on_the_chunks(pieces: list[bytes], size: int) -> None:
    async def outcome(*chunks: bytes) -> object:
        try:
            return joined(await decode(*chunks))
        except (UnusableResponse, httpx2.RemoteProtocolError) as error:
            return repr(error)

    whole = b"".join(pieces)
    parts = [whole[start : start + size] for start in range(0, len(whole), size)]
    assert await outcome(*parts) == await outcome(whole)
