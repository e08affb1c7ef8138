import json
from collections.abc import Sequence

import pytest
from pydantic_ai import Agent, DeferredToolRequests, DeferredToolResults, ModelRetry
from pydantic_ai.exceptions import ModelHTTPError
from pydantic_ai.messages import (
    AgentStreamEvent,
    BinaryContent,
    ModelMessage,
    ModelRequest,
    ModelRequestPart,
    ModelResponse,
    ModelResponsePart,
    PartDeltaEvent,
    PartStartEvent,
    TextPart,
    TextPartDelta,
    ThinkingPart,
    ToolCallPart,
    ToolCallPartDelta,
    ToolReturnPart,
    UserContent,
    UserPromptPart,
)
from pydantic_ai.run import AgentRunResult, AgentRunResultEvent

from shared.agents.display.examples import EXAMPLES
from worker.models.continue_prompt import CONTINUE_PROMPT
from worker.models.demo_model import MAX_COUNT, demo_model
from worker.tools.demo_email import DEMO_EMAIL
from worker.tools.display import DISPLAY_TOOLS, display_tools

ALL_TOOLS = tuple(DISPLAY_TOOLS)


class Streamed:
    """The collected events of a streamed run of the demo model."""

    def __init__(self) -> None:
        self.text: list[str] = []
        self.arguments: list[str] = []
        self.result: AgentRunResult[str] | None = None

    def take(self, event: AgentStreamEvent | AgentRunResultEvent[str]) -> None:
        match event:
            case PartStartEvent(part=TextPart(content=content)):
                self.text.append(content)
            case PartDeltaEvent(delta=TextPartDelta(content_delta=content)):
                self.text.append(content)
            case PartDeltaEvent(delta=ToolCallPartDelta(args_delta=str(piece))):
                self.arguments.append(piece)
            case AgentRunResultEvent():
                self.result = event.result
            case _:
                pass

    def messages(self) -> list[ModelMessage]:
        assert self.result is not None
        return self.result.all_messages()

    def parts(self) -> list[ModelRequestPart | ModelResponsePart]:
        return [part for message in self.messages() for part in message.parts]


def agent(tools: Sequence[str] = ()) -> Agent:
    return Agent(demo_model(delay=0), tools=display_tools(tools))


async def stream(
    prompt: str | Sequence[UserContent] | None,
    tools: Sequence[str] = (),
    history: Sequence[ModelMessage] = (),
) -> Streamed:
    run = Streamed()
    async with agent(tools).run_stream_events(prompt, message_history=list(history)) as events:
        async for event in events:
            run.take(event)
    return run


async def answer_text(prompt: str | Sequence[UserContent], tools: Sequence[str] = ()) -> str:
    return "".join((await stream(prompt, tools)).text)


async def test_answer_explains_how_to_configure_a_real_model() -> None:
    text = await answer_text("Hello there")

    assert "demo model" in text
    assert "OPENAI_API_KEY" in text
    assert "MAMBA_OPENAI__BASE_URL" in text


async def test_answer_quotes_the_last_user_message() -> None:
    first = await stream("First")

    second = await stream("Second\n\n\nthing", history=first.messages())

    assert "> Second thing\n" in "".join(second.text)
    assert "First" not in "".join(second.text)


async def test_long_message_quote_is_truncated() -> None:
    text = await answer_text("word " * 500)

    assert "word…" in text
    assert len(text) < 1000


async def test_answer_quotes_only_text_parts() -> None:
    picture = BinaryContent(b"png", media_type="image/png")

    assert "> What is this?\n" in await answer_text(["What is this?", picture])
    assert "Your message contains no text" in await answer_text([picture])


async def test_answer_is_streamed_word_by_word() -> None:
    run = await stream("Hello")

    assert len(run.text) > 30
    assert max(map(len, run.text)) < 40


async def test_streamed_and_complete_answers_are_equal() -> None:
    first, second = await answer_text("Hello"), await answer_text("Hello")
    complete = await agent().run("Hello")

    assert first == second == complete.output


async def test_count_reaches_the_requested_number() -> None:
    text = await answer_text("Please COUNT to 200!", ALL_TOOLS)

    assert "1, 2, 3, " in text
    assert "199, 200. Done." in text


@pytest.mark.parametrize("number", ["6000", "9" * 5000])
async def test_count_is_limited(number: str) -> None:
    assert f"{MAX_COUNT - 1}, {MAX_COUNT}. Done." in await answer_text(f"count to {number}")


async def test_reasoning_precedes_the_answer_on_request() -> None:
    run = await stream("Think about it")

    (response,) = (m for m in run.messages() if isinstance(m, ModelResponse))
    assert [type(part) for part in response.parts] == [ThinkingPart, TextPart]


@pytest.mark.parametrize(
    ("prompt", "name"),
    [
        ("a sign-up form please", "generateForm"),
        ("Draw me a Chart", "generateChart"),
        ("some code, with thinking", "generateCode"),
        ("a card about snakes", "generateCard"),
    ],
)
async def test_tool_named_in_the_prompt_is_called(prompt: str, name: str) -> None:
    run = await stream(prompt, ALL_TOOLS)

    (call,) = (part for part in run.parts() if isinstance(part, ToolCallPart))
    (result,) = (part for part in run.parts() if isinstance(part, ToolReturnPart))
    assert call.tool_name == name
    assert json.loads("".join(run.arguments)) == EXAMPLES[name].output() == result.content
    assert len(run.arguments) > 10


async def test_tool_call_is_surrounded_by_text() -> None:
    run = await stream("a chart", ALL_TOOLS)

    parts = [part for part in run.parts() if isinstance(part, TextPart | ToolCallPart)]
    assert [type(part) for part in parts] == [TextPart, ToolCallPart, TextPart]


async def test_single_enabled_tool_is_always_called() -> None:
    run = await stream("Hello", ["generateCode"])

    assert any(isinstance(part, ToolCallPart) for part in run.parts())


@pytest.mark.parametrize(("prompt", "tools"), [("Hello", ALL_TOOLS), ("a chart", ())])
async def test_tool_is_called_only_if_requested_and_enabled(
    prompt: str, tools: Sequence[str]
) -> None:
    run = await stream(prompt, tools)

    assert not any(isinstance(part, ToolCallPart) for part in run.parts())


async def test_each_prompt_gets_a_unique_tool_call_id() -> None:
    first = await stream("a chart", ALL_TOOLS)
    second = await stream("now a card", ALL_TOOLS, first.messages())

    calls = [part for part in second.parts() if isinstance(part, ToolCallPart)]
    assert [call.tool_name for call in calls] == ["generateChart", "generateCard"]
    assert len({call.tool_call_id for call in calls}) == 2


async def test_tool_is_called_without_streaming() -> None:
    run = await agent(["generateForm"]).run("a form")

    assert "example" in run.output


def interrupted_history(prompt: str, *partials: str) -> list[ModelMessage]:
    """The history of an answer that was interrupted once after each partial text."""
    history: list[ModelMessage] = [ModelRequest([UserPromptPart(prompt)])]
    for partial in partials:
        history.append(ModelResponse([TextPart(partial)]))
        history.append(ModelRequest([UserPromptPart(CONTINUE_PROMPT)]))
    return history


@pytest.mark.parametrize("length", [1, 7, 100, -1])
async def test_interrupted_answer_continues_where_it_stopped(length: int) -> None:
    whole = await answer_text("count to 200")

    run = await stream(None, history=interrupted_history("count to 200", whole[:length]))

    assert whole[:length] + "".join(run.text) == whole


async def test_answer_continues_after_two_interruptions() -> None:
    whole = await answer_text("Hello")
    history = interrupted_history("Hello", whole[:20], whole[20:50])

    run = await stream(None, history=history)

    assert whole[:50] + "".join(run.text) == whole


async def test_continue_prompt_can_be_the_prompt() -> None:
    whole = await answer_text("Hello")

    run = await stream(CONTINUE_PROMPT, history=interrupted_history("Hello", whole[:20])[:-1])

    assert whole[:20] + "".join(run.text) == whole


async def test_answer_interrupted_at_its_end_is_only_closed() -> None:
    whole = await answer_text("Hello")

    run = await stream(None, history=interrupted_history("Hello", whole))

    assert "".join(run.text) == "\n"


async def test_reasoning_is_not_repeated_when_continuing() -> None:
    run = await stream(None, history=interrupted_history("Think", "I am"))

    assert not any(isinstance(part, ThinkingPart) for part in run.parts())


@pytest.mark.parametrize("length", [10, None])
async def test_tool_is_called_after_interrupted_announcement(length: int | None) -> None:
    whole = await stream("a card", ALL_TOOLS)
    announcement = next(part for part in whole.parts() if isinstance(part, TextPart)).content

    run = await stream(None, ALL_TOOLS, interrupted_history("a card", announcement[:length]))

    rest = "".join(run.text)
    assert announcement[:length] + rest == "".join(whole.text)
    assert run.arguments == whole.arguments


async def test_text_after_a_tool_call_is_continued() -> None:
    whole = await stream("a card", ALL_TOOLS)
    history = whole.messages()[:-1]
    closing = whole.messages()[-1].parts[0]
    assert isinstance(closing, TextPart)

    partial = ModelResponse([TextPart(closing.content[:15])])
    run = await stream(CONTINUE_PROMPT, ALL_TOOLS, [*history, partial])

    assert closing.content[:15] + "".join(run.text) == closing.content


async def test_reported_tokens_grow_with_the_answer() -> None:
    short, long = await stream("Hello"), await stream("count to 500")

    assert short.result is not None
    assert long.result is not None
    assert short.result.usage.input_tokens > 0
    assert 20 < short.result.usage.output_tokens < 200
    assert 500 < long.result.usage.output_tokens < 2000


async def test_title_is_the_first_words_of_the_prompt() -> None:
    titles = Agent(demo_model(delay=0), instructions="Write a short title for this chat.")

    run = await titles.run("How do black mambas hunt in the savannah at night?")

    assert run.output == "How do black mambas hunt in"


async def test_failing_model_fails_once_in_the_middle_of_its_answer() -> None:
    prompt = "Count to 20, and fail with 429 in between"
    run = Streamed()

    async def collect() -> None:
        async with agent().run_stream_events(prompt) as events:
            async for event in events:
                run.take(event)

    with pytest.raises(ModelHTTPError):
        await collect()
    partial = "".join(run.text)
    assert 20 < len(partial) < 100

    rest = await stream(None, history=interrupted_history(prompt, partial))

    assert partial + "".join(rest.text) == await answer_text("Count to 20")


async def test_research_searches_and_quotes_a_note() -> None:
    def search_notes(query: str) -> list[dict[str, str]]:
        return [{"id": "n1", "title": "Workers", "excerpt": query}]

    def read_note(id: str) -> dict[str, str]:  # noqa: A002
        return {"id": id, "title": "Workers", "text": "They hold leases."}

    result = await Agent(demo_model(delay=0), tools=[search_notes, read_note]).run("workers?")

    assert "[Workers]:\n\n> They hold leases." in result.output


async def test_code_review_without_code_asks_for_it() -> None:
    def find_problems() -> str:
        raise ModelRetry("The conversation contains no code.")

    result = await Agent(demo_model(delay=0), tools=[find_problems]).run("Review this")

    assert "Send a block of code" in result.output


async def test_code_review_reports_each_problem() -> None:
    reported: list[str] = []

    def find_problems() -> list[dict[str, object]]:
        problem: dict[str, object] = {"path": "a.py", "end_line": 1, "severity": "high"}
        problem["category"] = "bug"
        return [problem | {"line": n, "rule": f"r{n}", "message": "m"} for n in (1, 2)]

    def report_finding(finding: dict[str, object]) -> str:
        reported.append(str(finding["title"]))
        return "shown"

    tools = [find_problems, report_finding]
    result = await Agent(demo_model(delay=0), tools=tools).run("Review this")

    assert reported == ["r1", "r2"]
    assert "found 2 problems" in result.output


@pytest.mark.parametrize(
    ("approved", "expected"),
    [(True, "A real tool would have sent"), (False, "The call was denied, so no email was sent.")],
)
async def test_email_is_sent_only_with_approval(*, approved: bool, expected: str) -> None:
    output = [str, DeferredToolRequests]
    email = Agent(demo_model(delay=0), tools=[DEMO_EMAIL], output_type=output)

    asked = await email.run("Send an email, with my approval")
    assert isinstance(asked.output, DeferredToolRequests)
    [call] = asked.output.approvals
    done = await email.run(
        message_history=asked.all_messages(),
        deferred_tool_results=DeferredToolResults(approvals={call.tool_call_id: approved}),
    )

    assert isinstance(done.output, str)
    assert expected in done.output
