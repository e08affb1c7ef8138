"""Texts in many pieces: equal to their join, with work that grows with their size."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat.chat_completion_chunk import ChoiceDeltaToolCall

from worker.models.chat.text_reasoning.parser import ReasoningParser
from worker.models.chat.tool_call_repair import ToolCallIndexer
from worker.models.transport import growing_text
from worker.models.transport.event_decoder import AnswerDecoder
from worker.models.transport.growing_text import GrowingText, JsonChecker
from worker.models.transport.unusable_response import UnusableResponse

TEXT = b'{"choices":[{"delta":{"content":"Hi"},"finish_reason":"stop"}]}'


@given(st.lists(st.text("a{} \n", max_size=4)), st.text("a{} \n", max_size=6))
def test_growing_text_equals_its_joined_pieces(pieces: list[str], other: str) -> None:
    text = GrowingText()
    for count, piece in enumerate(pieces, start=1):
        text.add(piece)
        whole = "".join(pieces[:count])
        assert text.size == len(whole)
        assert text.last == whole.rstrip()[-1:]
        assert text.equals(other) == (whole == other)
        assert text.is_start_of(other) == other.startswith(whole)
    assert str(text) == "".join(pieces)


class ParsedCharacters:
    """Counts the characters that are parsed as JSON."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        self._parse = growing_text.parse_json
        monkeypatch.setattr(growing_text, "parse_json", self._count)

    def _count(self, text: str) -> object:
        self.count += len(text)
        return self._parse(text)


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> ParsedCharacters:
    return ParsedCharacters(monkeypatch)


def test_checker_stops_parsing_incomplete_texts(
    parsed: ParsedCharacters, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(growing_text, "MAX_PARSED", 10_000)
    checker, text = JsonChecker(), GrowingText()
    text.add('{"a":{')

    for _ in range(5_000):
        text.add("}{}")
        assert not checker.is_object(text)

    assert parsed.count <= 10_000


def test_checker_parses_any_number_of_complete_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growing_text, "MAX_PARSED", 100)
    checker, text = JsonChecker(), GrowingText()
    text.add('{"a": 1} ')

    assert all(checker.is_object(text) for _ in range(100))


async def test_event_of_many_lines_is_parsed_in_linear_time(
    parsed: ParsedCharacters, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body():  # noqa: ANN202
        yield b"data: " + TEXT + b"\n\n" + b"data: {\n" + b"data: }{}\n" * 20_000

    monkeypatch.setattr(growing_text, "MAX_PARSED", 1_000_000)
    events = [event.data async for event in AnswerDecoder().aiter_bytes(body())]

    assert len(events) == 2
    assert parsed.count <= 1_000_000


@pytest.mark.parametrize("line", [b"data:\n", b"data: xy\n", b"error: xy\n"])
async def test_event_of_many_short_lines_is_too_large(line: bytes) -> None:
    async def body():  # noqa: ANN202
        yield b"data: " + TEXT + b"\n\n"
        for _ in range(2_000):
            yield line * 100

    with pytest.raises(UnusableResponse, match="more than 8388608 bytes"):
        assert not [event async for event in AnswerDecoder().aiter_bytes(body())][1:]


def test_tool_call_of_many_pieces_is_parsed_in_linear_time(
    parsed: ParsedCharacters, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(growing_text, "MAX_PARSED", 1_000_000)
    indexer = ToolCallIndexer()

    for number in range(20_000):
        function = {"name": "f", "arguments": "}{}" if number else "{"}
        delta = ChoiceDeltaToolCall.model_validate({"index": 0, "function": function})
        assert indexer.reindex(delta) is delta
        assert delta.index == 0

    assert parsed.count <= 1_000_000


def test_long_white_space_is_not_a_thinking_tag() -> None:
    parser = ReasoningParser()

    pieces = [part for _ in range(2_000) for part, _ in parser.split(" ")]

    assert "".join(pieces) == " " * 2_000
    assert parser.finished
