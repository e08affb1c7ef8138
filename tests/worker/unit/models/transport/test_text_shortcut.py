"""The shortcut of an answer's text: the events and the response are the same as without it."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openai.types.chat import ChatCompletionChunk
from pydantic_ai import Agent
from pydantic_ai.messages import ModelMessagesTypeAdapter

from shared.streams.events import StreamEvent, TextDelta, merge_deltas
from shared.streams.transcript import Transcript
from tests.support.models.fake_stream import FakeStream, fake_endpoint
from tests.support.models.server_streams import (
    SERVERS,
    Delta,
    by_event,
    opening,
    split,
    stream,
)
from worker.models.chat.chunk import parse_chunk
from worker.models.transport.delta_merger import PlainDelta, plain_delta
from worker.models.transport.event_decoder import AnswerDecoder
from worker.models.transport.text_shortcut import (
    ShortcutMismatch,
    TextShortcut,
    current_shortcut,
)
from worker.output.event_mapper import EventMapper


class Answer:
    """The events and the response of one answer."""

    def __init__(self) -> None:
        self.events: list[StreamEvent] = []
        #: The parts of the response.
        self.response: object = None
        #: The number of chunks that the SDK received.
        self.chunks = 0
        #: How many characters of text were written before each read.
        self.written: list[int] = []

    async def decode(
        self, decoder: AnswerDecoder, reads: Sequence[bytes]
    ) -> AsyncIterator[ChatCompletionChunk]:
        """Decode and parse these reads as the client does."""
        async for event in decoder.aiter_bytes(self._body(reads)):
            if not event.data.startswith("[DONE]"):
                self.chunks += 1
                yield parse_chunk(event.json())

    async def _body(self, reads: Sequence[bytes]) -> AsyncIterator[bytes]:
        for read in reads:
            self.written.append(len(self.text))
            yield read

    @property
    def text(self) -> str:
        return "".join(event.delta for event in self.events if isinstance(event, TextDelta))

    @property
    def merged(self) -> list[StreamEvent]:
        merged: list[StreamEvent] = []
        for event in self.events:
            last = merge_deltas(merged[-1], event) if merged else None
            merged[-1:] = [last] if last is not None else [*merged[-1:], event]
        return merged


async def answer(reads: Sequence[bytes], *, shortcut: bool) -> Answer:
    """Run an agent on an answer that arrives in these reads."""
    found = Answer()
    mapper = EventMapper(Transcript(), found.events.append)

    async def create(**_: Any) -> FakeStream:
        return FakeStream(found.decode(AnswerDecoder("text/event-stream"), reads))

    agent = Agent(fake_endpoint(create).chat_model("m"), output_type=[str, type(None)])
    async with agent.iter("Hi") as run:
        async for node in run:
            if Agent.is_model_request_node(node):
                mapper.start_step()
                with ExitStack() as offer:
                    if shortcut:
                        offer.enter_context(mapper.new_shortcut(lambda: True).offer())
                    async with node.stream(run.ctx) as parts:
                        async for event in parts:
                            mapper.on_model_event(event)
                mapper.end_response()
            elif Agent.is_call_tools_node(node):
                messages = ModelMessagesTypeAdapter.dump_python([node.model_response])
                found.response = messages[0]["parts"]
                break
    return found


#: Tags and special tokens, and parts of them.
_TAGS = ["<", "<t", "<think>", "think>", "</think>", "<\u200d|im_end|>", "|im_end|>", "\u200d"]
_HARMONY = ["<|", "|end|>", "<|channel|>commentary<|message|>", "<|channel|>final<|message|>"]
_PIECES = st.text(max_size=6) | st.sampled_from([*_TAGS, *_HARMONY, "a", "b ", "\n\n", " "])


def _deltas_with(text: str) -> st.SearchStrategy[Delta]:
    content: Delta = {"content": text}
    others: list[Delta] = [
        {"content": None, "reasoning_content": text},
        {"content": text, "annotations": []},
        {"content": text, "reasoning": "r"},
        {"content": text, "role": "assistant", "refusal": None},
    ]
    return st.just(content) | st.just(content) | st.sampled_from(others)


@given(
    st.sampled_from(sorted(SERVERS)),
    st.lists(_PIECES.flatmap(_deltas_with) | st.builds(opening, st.just(0)), max_size=14),
    st.lists(st.integers(0), max_size=8),
)
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=60)
def test_shortcut_changes_neither_events_nor_response(
    server: str, deltas: list[Delta], cuts: list[int]
) -> None:
    body = stream(server, deltas)
    for reads in (split(body, cuts), by_event(body)):
        # Whether a tag is recognized depends on the reads, so both runs use the same ones.
        expected = asyncio.run(answer(reads, shortcut=False))
        shortened = asyncio.run(answer(reads, shortcut=True))
        assert shortened.merged == expected.merged
        assert shortened.response == expected.response


@pytest.mark.parametrize("texts", [["<", "<", "a"], ["a", "<", "", "<", "a"]])
async def test_held_back_text_equal_to_shown_text_changes_nothing(texts: list[str]) -> None:
    texts = ["<|channel|>commentary<|message|>", *texts]
    reads = by_event(stream("openai", [{"content": text} for text in texts]))
    expected = await answer(reads, shortcut=False)
    shortened = await answer(reads, shortcut=True)

    assert shortened.merged == expected.merged
    assert shortened.response == expected.response


@pytest.mark.parametrize("server", SERVERS)
async def test_sdk_receives_few_chunks_of_a_long_text(server: str) -> None:
    reads = by_event(stream(server, [{"content": f"word{n} "} for n in range(200)]))
    shortened = await answer(reads, shortcut=True)

    assert shortened.text == "".join(f"word{n} " for n in range(200))
    assert len(shortened.events) > 200
    assert shortened.chunks < 10


async def test_each_read_is_written_before_the_next() -> None:
    reads = by_event(stream("openai", [{"content": "ab"}] * 10))
    shortened = await answer(reads, shortcut=True)

    # The first read contains no text, and the last two the finish reason and the end.
    assert shortened.written[1:-1] == [2 * n for n in range(11)]


@pytest.mark.parametrize("text", ["<think>a</think>\n\n", "\n\n", ""])
async def test_shortcut_opens_after_a_special_beginning(text: str) -> None:
    deltas: list[Delta] = [{"content": text}, *({"content": "ab"} for _ in range(50))]
    shortened = await answer(by_event(stream("vllm", deltas)), shortcut=True)

    assert shortened.text.strip() == "ab" * 50
    assert shortened.chunks < 10


async def test_shortcut_opens_again_after_a_tag_in_the_text() -> None:
    texts = [*["ab"] * 30, "a <b", "> c", *["ab"] * 30]
    shortened = await answer(
        by_event(stream("openai", [{"content": text} for text in texts])), shortcut=True
    )

    assert shortened.text == "".join(texts)
    assert shortened.chunks < 12


def content(text: str) -> PlainDelta:
    chunk = {"choices": [{"index": 0, "delta": {"content": text}}]}
    delta = plain_delta(b"data: " + json.dumps(chunk).encode())
    assert delta is not None
    return delta


def opened(written: list[str]) -> TextShortcut:
    def write(_: int, text: str) -> bool:
        written.append(text)
        return True

    shortcut = TextShortcut(write)
    assert [delta.text for delta in shortcut.pass_delta(content("a"))] == ["a"]
    assert shortcut.unwritten(0, "a", starts=True) == "a"
    return shortcut


def test_written_text_is_passed_to_the_sdk_in_one_piece() -> None:
    shortcut = opened(written := [])
    assert not [*shortcut.pass_delta(content("b")), *shortcut.pass_delta(content("c"))]
    assert written == ["b", "c"]
    assert [delta.text for delta in shortcut.interrupt()] == ["bc"]
    assert shortcut.unwritten(0, "bc") == ""


def test_text_that_may_not_be_written_takes_the_normal_path() -> None:
    shortcut = TextShortcut(lambda _part, _text: False)
    for text in ("a", "b"):
        assert [delta.text for delta in shortcut.pass_delta(content(text))] == [text]
        assert shortcut.unwritten(0, text) == text


@pytest.mark.parametrize(("text", "starts"), [("x", False), ("bx", False), ("bc", True)])
def test_event_that_differs_from_written_text_raises(text: str, *, starts: bool) -> None:
    shortcut = opened([])
    assert not [*shortcut.pass_delta(content("bc"))]
    assert [delta.text for delta in shortcut.interrupt()] == ["bc"]
    with pytest.raises(ShortcutMismatch):
        shortcut.unwritten(0, text, starts=starts)


def test_response_that_lacks_written_text_raises() -> None:
    shortcut = opened([])
    assert not [*shortcut.pass_delta(content("b"))]
    with pytest.raises(ShortcutMismatch):
        shortcut.end()
    assert [delta.text for delta in shortcut.interrupt()] == ["b"]
    with pytest.raises(ShortcutMismatch):
        shortcut.end()
    assert shortcut.unwritten(0, "b") == ""
    shortcut.end()


def test_very_long_text_takes_the_normal_path() -> None:
    shortcut = opened(written := [])
    assert [delta.text for delta in shortcut.pass_delta(content("b" * 5000))] == ["b" * 5000]
    assert not written


def test_second_response_closes_the_shortcut() -> None:
    shortcut = opened(written := [])
    with shortcut.offer():
        assert current_shortcut() is shortcut
        assert not [*shortcut.pass_delta(content("b"))]
        assert current_shortcut() is not shortcut
        assert [delta.text for delta in shortcut.pass_delta(content("c"))] == ["b", "c"]
    assert written == ["b"]


def test_nothing_is_written_after_the_response() -> None:
    shortcut = opened(written := [])
    with shortcut.offer():
        assert not [*shortcut.pass_delta(content("b"))]
    assert [delta.text for delta in shortcut.pass_delta(content("c"))] == ["b", "c"]
    assert written == ["b"]


def test_text_that_is_held_back_closes_the_shortcut() -> None:
    shortcut = opened(written := [])
    assert [delta.text for delta in shortcut.pass_delta(content("<"))] == ["<"]
    assert [delta.text for delta in shortcut.pass_delta(content("b"))] == ["b"]
    assert shortcut.unwritten(0, "<") == "<"
    assert [delta.text for delta in shortcut.pass_delta(content("c"))] == ["c"]
    assert not written
