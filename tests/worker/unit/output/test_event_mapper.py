"""pydantic-ai's events become the stream's."""

from pathlib import PurePath
from typing import Any

import pytest
from pydantic_ai.messages import (
    AgentStreamEvent,
    FinalResultEvent,
    FunctionToolCallEvent,
    FunctionToolResultEvent,
    ModelResponse,
    ModelResponsePart,
    PartDeltaEvent,
    PartEndEvent,
    PartStartEvent,
    TextPart,
    TextPartDelta,
    ThinkingPart,
    ThinkingPartDelta,
    ToolCallPart,
    ToolCallPartDelta,
    ToolReturnPart,
)

from shared.streams.events import (
    Data,
    Error,
    FinishStep,
    ReasoningDelta,
    ReasoningEnd,
    ReasoningStart,
    SourceUrl,
    StartStep,
    StreamEvent,
    TextDelta,
    TextEnd,
    TextStart,
    ToolInputAvailable,
    ToolInputDelta,
    ToolInputError,
    ToolInputStart,
    ToolOutputAvailable,
    ToolOutputError,
)
from shared.streams.transcript import Transcript
from worker.output.event_mapper import EventMapper


class Tape:
    """A translator, and what it said."""

    def __init__(self, *shown: StreamEvent) -> None:
        transcript = Transcript()
        for event in shown:
            transcript.add(event)
        self.said: list[StreamEvent] = []
        self.translator = EventMapper(transcript, self.said.append)

    def model(self, *events: AgentStreamEvent) -> "Tape":
        for event in events:
            self.translator.on_model_event(event)
        return self

    def tools(self, *events: AgentStreamEvent) -> "Tape":
        for event in events:
            self.translator.on_tool_event(event)
        return self

    def rest(self) -> list[StreamEvent]:
        said = list(self.said)
        self.said.clear()
        return said


def whole(index: int, part: ModelResponsePart) -> list[AgentStreamEvent]:
    return [PartStartEvent(index=index, part=part), PartEndEvent(index=index, part=part)]


def called(call_id: str = "c", *, valid: bool | None = True, **args: Any) -> FunctionToolCallEvent:
    part = ToolCallPart("f", args or {"n": 1}, call_id)
    return FunctionToolCallEvent(part=part, args_valid=valid)


def returned(call_id: str = "c", content: Any = "ok") -> FunctionToolResultEvent:
    return FunctionToolResultEvent(part=ToolReturnPart("f", content, call_id))


def retried(call_id: str = "c", content: Any = "no") -> FunctionToolResultEvent:
    return FunctionToolResultEvent(part=ToolReturnPart("f", content, call_id, outcome="retried"))


INPUT_START = ToolInputStart(tool_call_id="c", tool_name="f")
INPUT = ToolInputAvailable(tool_call_id="c", tool_name="f", input={"n": 1})
OUTPUT = ToolOutputAvailable(tool_call_id="c", output="ok")


def test_a_text_is_started_written_and_ended() -> None:
    tape = Tape().model(
        PartStartEvent(index=0, part=TextPart("Hel")),
        PartDeltaEvent(index=0, delta=TextPartDelta("lo")),
        PartEndEvent(index=0, part=TextPart("Hello")),
    )

    assert tape.said == [
        TextStart(id="text-1"),
        TextDelta(id="text-1", delta="Hel"),
        TextDelta(id="text-1", delta="lo"),
        TextEnd(id="text-1"),
    ]


def test_a_thought_is_started_written_and_ended() -> None:
    tape = Tape().model(
        PartStartEvent(index=0, part=ThinkingPart("hm")),
        PartDeltaEvent(index=0, delta=ThinkingPartDelta(content_delta="m")),
        PartDeltaEvent(index=0, delta=ThinkingPartDelta(signature_delta="x")),
        PartEndEvent(index=0, part=ThinkingPart("hmm")),
    )

    assert tape.said == [
        ReasoningStart(id="reasoning-1"),
        ReasoningDelta(id="reasoning-1", delta="hm"),
        ReasoningDelta(id="reasoning-1", delta="m"),
        ReasoningEnd(id="reasoning-1"),
    ]


def test_empty_deltas_are_not_sent() -> None:
    tape = Tape().model(
        PartStartEvent(index=0, part=TextPart("")),
        PartDeltaEvent(index=0, delta=TextPartDelta("")),
    )

    assert tape.said == [TextStart(id="text-1")]


def test_ids_are_counted_over_the_whole_run() -> None:
    tape = Tape(StartStep(), TextStart(id="text-1"), TextEnd(id="text-1"), FinishStep())

    tape.model(*whole(0, TextPart("a")), *whole(1, TextPart("b")))

    assert [event.id for event in tape.said if isinstance(event, TextStart)] == ["text-2", "text-3"]


@pytest.mark.parametrize(
    ("args", "expected"), [('{"n":1}', '{"n":1}'), ({"n": 1}, '{"n":1}'), (None, None), ("", None)]
)
def test_a_calls_arguments_are_shown_as_they_come(args: Any, expected: str | None) -> None:
    tape = Tape().model(PartStartEvent(index=0, part=ToolCallPart("f", args, "c")))

    shown = [ToolInputDelta(tool_call_id="c", input_text_delta=expected)] if expected else []
    assert tape.said == [INPUT_START, *shown]


def test_a_call_is_shown_made_and_answered() -> None:
    tape = Tape().model(
        PartStartEvent(index=0, part=ToolCallPart("f", "", "c")),
        PartDeltaEvent(index=0, delta=ToolCallPartDelta(args_delta='{"n":1}')),
        PartEndEvent(index=0, part=ToolCallPart("f", '{"n":1}', "c")),
    )
    tape.tools(called(), returned())

    delta = ToolInputDelta(tool_call_id="c", input_text_delta='{"n":1}')
    assert tape.said == [INPUT_START, delta, INPUT, OUTPUT]


def test_calls_side_by_side_keep_apart() -> None:
    tape = Tape().model(
        PartStartEvent(index=0, part=ToolCallPart("f", "", "a")),
        PartStartEvent(index=1, part=ToolCallPart("f", "", "b")),
        PartDeltaEvent(index=1, delta=ToolCallPartDelta(args_delta="B")),
        PartDeltaEvent(index=0, delta=ToolCallPartDelta(args_delta="A")),
    )
    tape.tools(called("a"), called("b"), returned("b", 2), returned("a", 1))

    deltas = [event for event in tape.said if isinstance(event, ToolInputDelta)]
    assert [(d.tool_call_id, d.input_text_delta) for d in deltas] == [("b", "B"), ("a", "A")]
    outputs = [event for event in tape.said if isinstance(event, ToolOutputAvailable)]
    assert [(o.tool_call_id, o.output) for o in outputs] == [("b", 2), ("a", 1)]


def test_wrong_arguments_are_an_error_of_the_input() -> None:
    tape = Tape().tools(called(valid=False), retried(content="n: a number"))

    [error] = tape.said
    assert isinstance(error, ToolInputError)
    assert (error.tool_call_id, error.tool_name, error.input) == ("c", "f", {"n": 1})
    assert error.error_text == "n: a number"


def test_an_errors_details_become_a_text() -> None:
    details: list[Any] = [{"type": "missing", "loc": ("n",), "msg": "Field required", "input": {}}]
    tape = Tape().tools(called(valid=False), retried(content=details))

    [error] = tape.said
    assert isinstance(error, ToolInputError)
    assert "Field required" in error.error_text


def test_a_tool_that_asks_for_another_try_is_an_error_of_the_output() -> None:
    tape = Tape().tools(called(), retried(content="try Paris"))

    assert tape.said == [INPUT, ToolOutputError(tool_call_id="c", error_text="try Paris")]


def test_a_failed_result_is_an_error_of_the_output() -> None:
    part = ToolReturnPart("f", "boom", "c", outcome="failed")
    tape = Tape().tools(called(), FunctionToolResultEvent(part=part))

    assert tape.said[-1] == ToolOutputError(tool_call_id="c", error_text="boom")


@pytest.mark.parametrize(
    ("content", "output"),
    [(None, None), ({"a": (1, 2)}, {"a": [1, 2]}), (b"hi", "hi"), (object, "<class 'object'>")],
)
def test_any_result_becomes_json(content: Any, output: Any) -> None:
    tape = Tape().tools(called(), returned(content=content))

    assert tape.said[-1] == ToolOutputAvailable(tool_call_id="c", output=output)
    assert tape.said[-1].encode()


def test_an_id_that_a_model_uses_again_is_a_new_call() -> None:
    shown: list[StreamEvent] = [StartStep(), INPUT_START, INPUT]
    tape = Tape(*shown)
    tape.tools(called(), returned())
    tape.translator.end_step()

    tape.translator.start_step()
    tape.tools(called(valid=False), retried())
    tape.tools(called(n=2), returned())

    kinds = [type(event) for event in tape.said]
    assert kinds == [
        ToolOutputAvailable,
        FinishStep,
        StartStep,
        ToolInputError,
        ToolInputAvailable,
        ToolOutputAvailable,
    ]


def test_steps_begin_and_end_once() -> None:
    tape = Tape()
    for _ in range(2):
        tape.translator.start_step()
        tape.translator.start_step()
        tape.translator.end_step()
        tape.translator.end_step()

    assert tape.said == [StartStep(), FinishStep()] * 2


def test_an_open_step_is_gone_on_with() -> None:
    tape = Tape(StartStep())

    tape.translator.start_step()
    tape.translator.end_step()

    assert tape.said == [FinishStep()]


def test_a_step_whose_calls_are_made_ends_before_the_next_request() -> None:
    tape = Tape(StartStep(), INPUT_START, INPUT, OUTPUT)

    tape.translator.start_step()

    assert tape.said == [FinishStep(), StartStep()]


def test_a_text_that_broke_off_goes_on_in_the_same_part() -> None:
    tape = Tape(StartStep(), TextStart(id="text-1"), TextDelta(id="text-1", delta="Hel"))

    tape.model(*whole(0, TextPart("lo")), *whole(1, TextPart("!")))

    assert tape.said == [
        TextDelta(id="text-1", delta="lo"),
        TextEnd(id="text-1"),
        TextStart(id="text-2"),
        TextDelta(id="text-2", delta="!"),
        TextEnd(id="text-2"),
    ]


def test_a_text_that_is_not_gone_on_with_is_ended_with_the_response() -> None:
    tape = Tape(StartStep(), TextStart(id="text-1"))

    tape.translator.end_response()
    tape.translator.end_response()

    assert tape.said == [TextEnd(id="text-1")]


def test_a_thought_that_broke_off_is_ended_at_once() -> None:
    tape = Tape(StartStep(), ReasoningStart(id="reasoning-1"))
    assert tape.rest() == [ReasoningEnd(id="reasoning-1")]

    tape.model(*whole(0, ThinkingPart("hm")))

    assert tape.said[0] == ReasoningStart(id="reasoning-2")


def test_a_call_that_broke_off_is_taken_up_under_its_old_name() -> None:
    half = ToolInputDelta(tool_call_id="c", input_text_delta='{"n"')
    tape = Tape(StartStep(), INPUT_START, half)

    tape.model(
        PartStartEvent(index=0, part=ToolCallPart("f", "", "new")),
        PartDeltaEvent(index=0, delta=ToolCallPartDelta(args_delta='{"n":1}')),
        PartEndEvent(index=0, part=ToolCallPart("f", '{"n":1}', "new")),
    )
    tape.translator.end_response()
    response = ModelResponse(parts=[ToolCallPart("f", '{"n":1}', "new")])
    tape.translator.name_calls(response)

    assert [call.tool_call_id for call in response.tool_calls] == ["c"]
    tape.tools(called("c"), returned("c"))
    assert tape.said == [INPUT, OUTPUT]


def test_what_a_tool_shows_beside_its_result_follows_it() -> None:
    source = SourceUrl(source_id="s", url="https://example.com")
    card = Data(type="data-card", data={"at": PurePath("/tmp")})
    metadata = [source, card, Error(error_text="no"), "no"]
    part = ToolReturnPart("f", "ok", "c", metadata=metadata)

    tape = Tape().tools(called(), FunctionToolResultEvent(part=part))

    assert tape.said == [INPUT, OUTPUT, source, Data(type="data-card", data={"at": "/tmp"})]


@pytest.mark.parametrize("metadata", [None, {"a": 1}, "text", 7])
def test_other_metadata_of_a_tool_is_not_shown(metadata: Any) -> None:
    part = ToolReturnPart("f", "ok", "c", metadata=metadata)

    assert Tape().tools(called(), FunctionToolResultEvent(part=part)).said == [INPUT, OUTPUT]


def test_a_call_that_broke_off_and_is_not_made_again_is_ended() -> None:
    half = ToolInputDelta(tool_call_id="c", input_text_delta='{"n"')
    tape = Tape(StartStep(), INPUT_START, half)

    tape.model(PartStartEvent(index=0, part=ToolCallPart("g", "", "new")))
    tape.translator.end_response()

    [_, error] = tape.said
    assert isinstance(error, ToolInputError)
    assert (error.tool_call_id, error.input) == ("c", '{"n"')


def test_a_call_that_was_made_is_not_announced_twice() -> None:
    tape = Tape(StartStep(), INPUT_START, INPUT)

    tape.tools(called(), returned())

    assert tape.said == [OUTPUT]


def test_a_call_shown_whole_beside_one_that_was_made_is_announced() -> None:
    other = ToolInputStart(tool_call_id="d", tool_name="f")
    tape = Tape(StartStep(), INPUT_START, other, INPUT)

    tape.tools(called("c"), called("d"), returned("c"), returned("d"))

    assert tape.said[0] == ToolInputAvailable(tool_call_id="d", tool_name="f", input={"n": 1})
    assert len(tape.said) == 3


def test_what_means_nothing_to_a_reader_is_left_out() -> None:
    tape = Tape().model(FinalResultEvent(tool_name=None, tool_call_id=None))
    tape.tools(FinalResultEvent(tool_name=None, tool_call_id=None))
    tape.model(PartDeltaEvent(index=9, delta=TextPartDelta("lost")))

    assert tape.said == []
