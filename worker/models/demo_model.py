"""The built-in model that is used if no other is configured. It shows what Mamba can do."""

import asyncio
import errno
import re
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from dataclasses import dataclass, replace
from typing import TypeAlias

import aiohttp
from pydantic_ai.exceptions import ModelHTTPError
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
from pydantic_ai.tools import ToolDefinition
from pydantic_core import to_json

from shared.agents.display.examples import EXAMPLES
from shared.providers.names import DEMO_MODEL
from worker.models.continue_prompt import CONTINUE_PROMPT
from worker.models.demo_agents import agent_step, failed_step
from worker.models.demo_tools import requested_call, result_text

INTRODUCTION = (
    "This is the demo model of Mamba Server. No API key is configured, so no real model is used."
)
SETUP = (
    "For real answers, set `OPENAI_API_KEY`, or set `MAMBA_OPENAI__BASE_URL` to the URL of any"
    " OpenAI-compatible server, and restart."
)
HINTS = (
    "Until then, try “count to 1000” for a long answer or “think” for reasoning. For a display"
    ' tool, send `"tools": ["generateChart"]` and ask for a chart. Forms, code, and cards work the'
    " same way."
)
EXAMPLE_SHOWN = (
    f"That was the demo model's example. A real model would fill it with your data. {SETUP}"
)

MAX_COUNT = 5000
MAX_QUOTE_CHARS = 200
MAX_TITLE_WORDS = 6

_TOOL_PATTERNS: Mapping[str, str] = {
    "generateForm": r"\b(forms?|survey|questionnaire)\b",
    "generateChart": r"\b(charts?|graphs?|plots?|diagrams?)\b",
    "generateCode": r"\b(code|function|script|snippet)\b",
    "generateCard": r"\bcards?\b",
}

_Delta: TypeAlias = str | DeltaThinkingCalls | DeltaToolCalls


def demo_model(*, delay: float = 0.015) -> Model:
    """Create a model that needs no key and no network. Its output depends only on the history.

    `delay` is the time before each streamed word, in seconds.
    """

    async def stream(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[_Delta]:
        deltas = [*_deltas(_response(messages, info))]
        failure = _requested_failure(_read(messages))
        for number, delta in enumerate(deltas):
            if failure and number == len(deltas) // 2:
                await failure()
            await asyncio.sleep(delay)
            yield delta

    return FunctionModel(_respond, stream_function=stream, model_name=DEMO_MODEL)


async def _respond(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
    if "title" in (info.instructions or "").lower():
        return ModelResponse(parts=[TextPart(_title(_read(messages).prompt))])
    return ModelResponse(parts=list(_parts(_response(messages, info))))


@dataclass(frozen=True)
class _Conversation:
    """The state of the conversation after its newest user message."""

    prompt_count: int = 0
    prompt: str = ""
    #: The tool results since the newest prompt.
    results: tuple[ToolReturnPart, ...] = ()
    tool_failed: bool = False
    #: The assistant's text since the newest prompt or tool result.
    text: str = ""

    def after(self, part: ModelRequestPart | ModelResponsePart) -> "_Conversation":
        match part:
            case UserPromptPart(content=content):
                return self._after_prompt(_prompt_text(content))
            case ToolReturnPart():
                failed = self.tool_failed or part.outcome == "retried"
                results = (*self.results, part)
                return replace(self, results=results, tool_failed=failed, text="")
            case TextPart(content=content):
                return replace(self, text=self.text + content)
            case _:
                return self

    def _after_prompt(self, text: str) -> "_Conversation":
        if text == CONTINUE_PROMPT:
            return self
        return _Conversation(prompt_count=self.prompt_count + 1, prompt=text)


def _read(messages: Iterable[ModelMessage]) -> _Conversation:
    conversation = _Conversation()
    for message in messages:
        for part in message.parts:
            conversation = conversation.after(part)
    return conversation


def _prompt_text(content: str | Sequence[UserContent]) -> str:
    if isinstance(content, str):
        return content
    texts = (part.content if isinstance(part, TextContent) else part for part in content)
    return " ".join(text for text in texts if isinstance(text, str))


async def _fail_with_429() -> None:
    raise ModelHTTPError(429, DEMO_MODEL)


async def _reset_connection() -> None:
    raise aiohttp.ClientOSError(errno.ECONNRESET, "Connection reset by peer")


async def _hang() -> None:
    await asyncio.Event().wait()


_FAILURES: Mapping[str, Callable[[], Awaitable[None]]] = {
    "fail with 429": _fail_with_429,
    "reset the connection": _reset_connection,
    "hang in between": _hang,
}


def _requested_failure(conversation: _Conversation) -> Callable[[], Awaitable[None]] | None:
    """Return what fails in the middle of the response. A continued response does not fail again."""
    if conversation.text:
        return None
    prompt = conversation.prompt.lower()
    return next((fail for text, fail in _FAILURES.items() if text in prompt), None)


@dataclass(frozen=True)
class _DemoResponse:
    text: str
    reasoning: str = ""
    call: ToolCallPart | None = None

    def without_prefix(self, prefix: str) -> "_DemoResponse":
        """Return the rest of a response of which `prefix` was already sent."""
        # pydantic-ai retries an empty response, so send at least a line break.
        text = self.text[len(prefix) :] or ("" if self.call else "\n")
        return replace(self, text=text, reasoning="" if prefix else self.reasoning)


def _response(messages: list[ModelMessage], info: AgentInfo) -> _DemoResponse:
    conversation = _read(messages)
    tools = info.function_tools
    response = _agent_response(conversation, [tool.name for tool in tools])
    response = response or _complete_response(conversation, tools)
    return response.without_prefix(conversation.text)


def _agent_response(conversation: _Conversation, tools: Sequence[str]) -> _DemoResponse | None:
    step = agent_step(tools, conversation.prompt, conversation.results)
    if step is None:
        return None
    if conversation.tool_failed:
        step = failed_step()
    if not step.tool:
        return _DemoResponse(step.text)
    call_id = f"demo-{conversation.prompt_count}-{len(conversation.results)}"
    return _DemoResponse(
        step.text, call=ToolCallPart(step.tool, step.arguments, tool_call_id=call_id)
    )


def _complete_response(
    conversation: _Conversation, tools: Sequence[ToolDefinition]
) -> _DemoResponse:
    if conversation.results:
        result = conversation.results[-1]
        return _DemoResponse(EXAMPLE_SHOWN if result.tool_name in EXAMPLES else result_text(result))
    prompt = conversation.prompt
    reasoning = _reasoning(prompt)
    if count := re.search(r"\bcount to (\d{1,9})", prompt, re.IGNORECASE):
        return _DemoResponse(_count(int(count[1])), reasoning)
    if tool := _requested_tool(prompt, [tool.name for tool in tools if tool.name in EXAMPLES]):
        call = _example_call(tool, conversation.prompt_count)
        return _DemoResponse(_announcement(tool), reasoning, call)
    if requested := requested_call((tool for tool in tools if tool.name not in EXAMPLES), prompt):
        call = _call(requested.tool, requested.arguments, conversation.prompt_count)
        return _DemoResponse(f"Calling the tool `{requested.tool}`.", reasoning, call)
    return _DemoResponse(f"{INTRODUCTION}\n\n{_quote(prompt)}\n\n{SETUP}\n\n{HINTS}", reasoning)


def _reasoning(prompt: str) -> str:
    if "think" not in prompt.lower():
        return ""
    return (
        "The user wants to see reasoning. The demo model cannot reason, so this text is fixed, but"
        " it is streamed like real reasoning. Now for the answer."
    )


def _count(last: int) -> str:
    numbers = range(1, min(last, MAX_COUNT) + 1)
    return f"The demo model counts: {', '.join(map(str, numbers)) or 'nothing'}. Done."


def _requested_tool(prompt: str, enabled: Sequence[str]) -> str | None:
    for name in enabled:
        if re.search(_TOOL_PATTERNS[name], prompt, re.IGNORECASE):
            return name
    return enabled[0] if len(enabled) == 1 else None


def _announcement(tool: str) -> str:
    kind = tool.removeprefix("generate").lower()
    return f"{INTRODUCTION} It can still show you an example of the tool `{tool}` ({kind}):"


def _example_call(tool: str, prompt_number: int) -> ToolCallPart:
    return _call(tool, EXAMPLES[tool].output(), prompt_number)


def _call(tool: str, arguments: object, prompt_number: int) -> ToolCallPart:
    return ToolCallPart(tool, to_json(arguments).decode(), tool_call_id=f"demo-{prompt_number}")


def _quote(prompt: str) -> str:
    text = " ".join(prompt.split())
    if len(text) > MAX_QUOTE_CHARS:
        text = f"{text[:MAX_QUOTE_CHARS].rstrip()}…"
    return f"You wrote:\n\n> {text}" if text else "Your message contains no text."


def _title(prompt: str) -> str:
    return " ".join(prompt.split()[:MAX_TITLE_WORDS]) or "Demo"


def _parts(response: _DemoResponse) -> Iterator[ModelResponsePart]:
    if response.reasoning:
        yield ThinkingPart(response.reasoning)
    if response.text:
        yield TextPart(response.text)
    if response.call:
        yield response.call


def _deltas(response: _DemoResponse) -> Iterator[_Delta]:
    for part in _parts(response):
        match part:
            case ThinkingPart(content=content):
                yield from ({0: DeltaThinkingPart(content=word)} for word in _words(content))
            case TextPart(content=content):
                yield from _words(content)
            case ToolCallPart():
                yield from _call_deltas(part)
            case _:
                pass


def _words(text: str) -> list[str]:
    return re.findall(r"\S+\s*|\s+", text)


def _call_deltas(call: ToolCallPart) -> Iterator[DeltaToolCalls]:
    yield {1: DeltaToolCall(call.tool_name, "", tool_call_id=call.tool_call_id)}
    for piece in re.findall(r".{1,16}", call.args_as_json_str()):
        yield {1: DeltaToolCall(json_args=piece)}
