"""Estimates what a model request uses while it runs, because servers report usage at its end.

A token is counted for each four bytes of text, and a fixed number for each file.
"""

from collections.abc import Iterator, Sequence

from pydantic_ai.messages import (
    AgentStreamEvent,
    ModelMessage,
    ModelRequest,
    PartDeltaEvent,
    PartStartEvent,
    TextPart,
    TextPartDelta,
    ThinkingPart,
    ThinkingPartDelta,
    ToolCallPart,
    ToolCallPartDelta,
)
from pydantic_ai.usage import RunUsage
from pydantic_core import to_json

from worker.models.profiles.token_prices import TokenPrices

_BYTES_PER_TOKEN = 4
_TOKENS_PER_FILE = 1000
#: How many output tokens a request is expected to use, until its owner's mean is known.
_EXPECTED_OUTPUT = 1000


class RequestEstimate:
    """The estimated usage of one model request."""

    def __init__(self, messages: Sequence[ModelMessage], prices: TokenPrices | None) -> None:
        self._prices = prices
        self._input_tokens = sum(map(_tokens_of, _contents(messages)))
        self._output_bytes = 0
        #: Whether the model has begun to answer. Before that, a request may not be charged.
        self.has_begun = False

    @property
    def expected(self) -> RunUsage:
        """What the request will probably use."""
        return self._usage(self._input_tokens, _EXPECTED_OUTPUT)

    @property
    def least(self) -> RunUsage:
        """What the request uses even if the answer is empty."""
        return self._usage(self._input_tokens, 0)

    @property
    def used(self) -> RunUsage:
        """What the request has used so far."""
        if not self.has_begun:
            return RunUsage()
        return self._usage(self._input_tokens, -(-self._output_bytes // _BYTES_PER_TOKEN))

    def output(self, tokens: int) -> RunUsage:
        """What this number of output tokens uses."""
        return self._usage(0, tokens)

    def add(self, event: AgentStreamEvent) -> None:
        self.has_begun = True
        self._output_bytes += _size(_text_of(event))

    def _usage(self, input_tokens: int, output_tokens: int) -> RunUsage:
        cost = self._prices.cost(input_tokens, output_tokens) if self._prices else None
        return RunUsage(input_tokens=input_tokens, output_tokens=output_tokens, cost=cost)


def _contents(messages: Sequence[ModelMessage]) -> Iterator[object]:
    """Yield the texts and files of a request."""
    for message in messages:
        if isinstance(message, ModelRequest):
            yield message.instructions or ""
        for part in message.parts:
            content = getattr(part, "content", None) or getattr(part, "args", None) or ""
            if isinstance(content, list):
                yield from content
            else:
                yield content


def _tokens_of(content: object) -> int:
    if isinstance(content, str):
        return -(-_size(content) // _BYTES_PER_TOKEN)
    if isinstance(content, dict | list | tuple | int | float | bool):
        return len(to_json(content, serialize_unknown=True)) // _BYTES_PER_TOKEN
    return _TOKENS_PER_FILE


def _text_of(event: AgentStreamEvent) -> str:
    match event:
        case PartStartEvent(part=TextPart(content=text) | ThinkingPart(content=text)):
            return text
        case PartStartEvent(part=ToolCallPart() as call):
            return call.args_as_json_str()
        case PartDeltaEvent(delta=TextPartDelta(content_delta=text)):
            return text
        case PartDeltaEvent(delta=ThinkingPartDelta(content_delta=text)):
            return text or ""
        case PartDeltaEvent(delta=ToolCallPartDelta(args_delta=str() as text)):
            return text
        case _:
            return ""


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode(errors="replace"))
