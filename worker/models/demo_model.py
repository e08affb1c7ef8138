"""The model that answers where no other is configured: it says so, and shows what it can."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from pydantic_ai.messages import (
    ModelMessage,
    ModelRequestPart,
    ModelResponse,
    ModelResponsePart,
    TextContent,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UserContent,
    UserPromptPart,
)
from pydantic_ai.models import Model
from pydantic_ai.models.function import (
    AgentInfo,
    DeltaThinkingCalls,
    DeltaThinkingPart,
    DeltaToolCall,
    DeltaToolCalls,
    FunctionModel,
)
from pydantic_core import to_json

from shared.agents.display.examples import EXAMPLES
from worker.agents.resume import CONTINUE_PROMPT

INTRODUCTION = (
    "I am the demo model of Mamba Server: no API key is configured, so no real model answers."
)
SETUP = (
    "For real answers, set `OPENAI_API_KEY`, or point `MAMBA_OPENAI__BASE_URL` at any"
    " OpenAI-compatible server, and start again."
)
HINTS = (
    "Until then, try “count to 200” for a long answer or “think” for reasoning. For a display tool,"
    ' send `"tools": ["generateChart"]` and ask for a chart; a form, code and a card work alike.'
)
SHOWN = f"That was the demo model's example; a real model would fill it with your data. {SETUP}"

LONGEST_COUNT = 2000
LONGEST_QUOTE = 200
LONGEST_TITLE = 6

_WORDS: Mapping[str, str] = {
    "generateForm": r"\b(forms?|survey|questionnaire)\b",
    "generateChart": r"\b(charts?|graphs?|plots?|diagrams?)\b",
    "generateCode": r"\b(code|function|script|snippet)\b",
    "generateCard": r"\bcards?\b",
}

_Piece: TypeAlias = str | DeltaThinkingCalls | DeltaToolCalls


def demo_model(*, delay: float = 0.015) -> Model:
    """A model that needs no key and no network, and answers the same history in the same words.

    `delay` is the time before each streamed word, in seconds.
    """

    async def stream(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[_Piece]:
        for piece in _pieces(_answer(messages, info)):
            await asyncio.sleep(delay)
            yield piece

    return FunctionModel(_respond, stream_function=stream, model_name="demo")


async def _respond(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
    if "title" in (info.instructions or "").lower():
        return ModelResponse(parts=[TextPart(_title(_read(messages).prompt))])
    return ModelResponse(parts=list(_parts(_answer(messages, info))))


@dataclass(frozen=True)
class _Turn:
    """What has happened since the user last said something of their own."""

    number: int = 0
    prompt: str = ""
    shown: bool = False
    said: str = ""  # since the prompt, or since the tool's result

    def after(self, part: ModelRequestPart | ModelResponsePart) -> "_Turn":
        match part:
            case UserPromptPart(content=content):
                return self._after_prompt(_text(content))
            case ToolReturnPart():
                return replace(self, shown=True, said="")
            case TextPart(content=content):
                return replace(self, said=self.said + content)
            case _:
                return self

    def _after_prompt(self, text: str) -> "_Turn":
        if text == CONTINUE_PROMPT:
            return self
        return _Turn(number=self.number + 1, prompt=text)


def _read(messages: Iterable[ModelMessage]) -> _Turn:
    turn = _Turn()
    for message in messages:
        for part in message.parts:
            turn = turn.after(part)
    return turn


def _text(content: str | Sequence[UserContent]) -> str:
    if isinstance(content, str):
        return content
    texts = (part.content if isinstance(part, TextContent) else part for part in content)
    return " ".join(text for text in texts if isinstance(text, str))


@dataclass(frozen=True)
class _Answer:
    text: str
    reasoning: str = ""
    call: ToolCallPart | None = None

    def without(self, said: str) -> "_Answer":
        """The rest of an answer that broke off after `said`."""
        rest = self.text[len(said) :]
        # An empty answer would be asked for again.
        text = rest or ("" if self.call else "\n")
        return replace(self, text=text, reasoning="" if said else self.reasoning)


def _answer(messages: list[ModelMessage], info: AgentInfo) -> _Answer:
    turn = _read(messages)
    enabled = [tool.name for tool in info.function_tools if tool.name in EXAMPLES]
    return _whole_answer(turn, enabled).without(turn.said)


def _whole_answer(turn: _Turn, enabled: Sequence[str]) -> _Answer:
    if turn.shown:
        return _Answer(SHOWN)
    reasoning = _reasoning(turn.prompt)
    if count := re.search(r"\bcount to (\d{1,9})", turn.prompt, re.IGNORECASE):
        return _Answer(_count(int(count[1])), reasoning)
    if tool := _wanted_tool(turn.prompt, enabled):
        return _Answer(_announcement(tool), reasoning, _call(tool, turn.number))
    return _Answer(f"{INTRODUCTION}\n\n{_quote(turn.prompt)}\n\n{SETUP}\n\n{HINTS}", reasoning)


def _reasoning(prompt: str) -> str:
    if "think" not in prompt.lower():
        return ""
    return (
        "The user wants to see me think. I am a demo, so this is a rehearsed thought,"
        " but it is streamed like a real one. Now for the answer."
    )


def _count(last: int) -> str:
    numbers = range(1, min(last, LONGEST_COUNT) + 1)
    return f"The demo model counts: {', '.join(map(str, numbers)) or 'nothing'}. Done."


def _wanted_tool(prompt: str, enabled: Sequence[str]) -> str | None:
    for name in enabled:
        if re.search(_WORDS[name], prompt, re.IGNORECASE):
            return name
    return enabled[0] if len(enabled) == 1 else None


def _announcement(tool: str) -> str:
    thing = tool.removeprefix("generate").lower()
    return f"{INTRODUCTION} But I can show you a {thing} made with `{tool}`:"


def _call(tool: str, turn: int) -> ToolCallPart:
    arguments = to_json(EXAMPLES[tool].output()).decode()
    return ToolCallPart(tool, arguments, tool_call_id=f"demo-{turn}")


def _quote(prompt: str) -> str:
    text = _shortened(prompt)
    return f"You said:\n\n> {text}" if text else "You sent nothing that I can read."


def _shortened(prompt: str) -> str:
    text = " ".join(prompt.split())
    return text if len(text) <= LONGEST_QUOTE else f"{text[:LONGEST_QUOTE].rstrip()}…"


def _title(prompt: str) -> str:
    return " ".join(prompt.split()[:LONGEST_TITLE]) or "Demo"


def _parts(answer: _Answer) -> Iterator[ModelResponsePart]:
    if answer.reasoning:
        yield ThinkingPart(answer.reasoning)
    if answer.text:
        yield TextPart(answer.text)
    if answer.call:
        yield answer.call


def _pieces(answer: _Answer) -> Iterator[_Piece]:
    for part in _parts(answer):
        match part:
            case ThinkingPart(content=content):
                yield from ({0: DeltaThinkingPart(content=word)} for word in _words(content))
            case TextPart(content=content):
                yield from _words(content)
            case ToolCallPart():
                yield from _call_pieces(part)
            case _:
                pass


def _words(text: str) -> list[str]:
    return re.findall(r"\S+\s*|\s+", text)


def _call_pieces(call: ToolCallPart) -> Iterator[DeltaToolCalls]:
    yield {1: DeltaToolCall(call.tool_name, "", tool_call_id=call.tool_call_id)}
    for piece in re.findall(r".{1,16}", call.args_as_json_str()):
        yield {1: DeltaToolCall(json_args=piece)}
