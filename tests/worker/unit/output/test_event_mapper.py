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
from worker.models.chat.tool_call_ids import model_ids
from worker.output.event_mapper import EventMapper


class MapperRecorder:
    """An EventMapper that records the events it emits."""

    def __init__(self, *shown: StreamEvent) -> None:
        transcript = Transcript()
        for event in shown:
            transcript.add(event)
        self.events: list[StreamEvent] = []
        self.mapper = EventMapper(transcript, self.events.append)

    def model(self, *events: AgentStreamEvent) -> "MapperRecorder":
        for event in events:
            self.mapper.on_model_event(event)
        return self

    def tools(self, *events: AgentStreamEvent) -> "MapperRecorder":
        for event in events:
            self.mapper.on_tool_event(event)
        return self

    def rest(self) -> list[StreamEvent]:
        events = list(self.events)
        self.events.clear()
        return events


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


def test_text_part_becomes_start_deltas_and_end() -> None:
    recorder = MapperRecorder().model(
        PartStartEvent(index=0, part=TextPart("Hel")),
        PartDeltaEvent(index=0, delta=TextPartDelta("lo")),
        PartEndEvent(index=0, part=TextPart("Hello")),
    )

    assert recorder.events == [
        TextStart(id="text-1"),
        TextDelta(id="text-1", delta="Hel"),
        TextDelta(id="text-1", delta="lo"),
        TextEnd(id="text-1"),
    ]


def test_thinking_part_becomes_reasoning_start_deltas_and_end() -> None:
    recorder = MapperRecorder().model(
        PartStartEvent(index=0, part=ThinkingPart("hm")),
        PartDeltaEvent(index=0, delta=ThinkingPartDelta(content_delta="m")),
        PartDeltaEvent(index=0, delta=ThinkingPartDelta(signature_delta="x")),
        PartEndEvent(index=0, part=ThinkingPart("hmm")),
    )

    assert recorder.events == [
        ReasoningStart(id="reasoning-1"),
        ReasoningDelta(id="reasoning-1", delta="hm"),
        ReasoningDelta(id="reasoning-1", delta="m"),
        ReasoningEnd(id="reasoning-1"),
    ]


def test_empty_deltas_are_dropped() -> None:
    recorder = MapperRecorder().model(
        PartStartEvent(index=0, part=TextPart("")),
        PartDeltaEvent(index=0, delta=TextPartDelta("")),
    )

    assert recorder.events == [TextStart(id="text-1")]


def test_part_ids_are_counted_over_the_whole_run() -> None:
    recorder = MapperRecorder(
        StartStep(), TextStart(id="text-1"), TextEnd(id="text-1"), FinishStep()
    )

    recorder.model(*whole(0, TextPart("a")), *whole(1, TextPart("b")))

    assert [event.id for event in recorder.events if isinstance(event, TextStart)] == [
        "text-2",
        "text-3",
    ]


@pytest.mark.parametrize(
    ("args", "expected"), [('{"n":1}', '{"n":1}'), ({"n": 1}, '{"n":1}'), (None, None), ("", None)]
)
def test_tool_call_arguments_become_input_deltas(args: Any, expected: str | None) -> None:
    recorder = MapperRecorder().model(PartStartEvent(index=0, part=ToolCallPart("f", args, "c")))

    shown = [ToolInputDelta(tool_call_id="c", input_text_delta=expected)] if expected else []
    assert recorder.events == [INPUT_START, *shown]


def test_tool_call_becomes_input_and_output_events() -> None:
    recorder = MapperRecorder().model(
        PartStartEvent(index=0, part=ToolCallPart("f", "", "c")),
        PartDeltaEvent(index=0, delta=ToolCallPartDelta(args_delta='{"n":1}')),
        PartEndEvent(index=0, part=ToolCallPart("f", '{"n":1}', "c")),
    )
    recorder.tools(called(), returned())

    delta = ToolInputDelta(tool_call_id="c", input_text_delta='{"n":1}')
    assert recorder.events == [INPUT_START, delta, INPUT, OUTPUT]


def test_parallel_tool_calls_stay_separate() -> None:
    recorder = MapperRecorder().model(
        PartStartEvent(index=0, part=ToolCallPart("f", "", "a")),
        PartStartEvent(index=1, part=ToolCallPart("f", "", "b")),
        PartDeltaEvent(index=1, delta=ToolCallPartDelta(args_delta="B")),
        PartDeltaEvent(index=0, delta=ToolCallPartDelta(args_delta="A")),
    )
    recorder.tools(called("a"), called("b"), returned("b", 2), returned("a", 1))

    deltas = [event for event in recorder.events if isinstance(event, ToolInputDelta)]
    assert [(d.tool_call_id, d.input_text_delta) for d in deltas] == [("b", "B"), ("a", "A")]
    outputs = [event for event in recorder.events if isinstance(event, ToolOutputAvailable)]
    assert [(o.tool_call_id, o.output) for o in outputs] == [("b", 2), ("a", 1)]


def test_invalid_arguments_become_a_tool_input_error() -> None:
    recorder = MapperRecorder().tools(called(valid=False), retried(content="n: a number"))

    [error] = recorder.events
    assert isinstance(error, ToolInputError)
    assert (error.tool_call_id, error.tool_name, error.input) == ("c", "f", {"n": 1})
    assert error.error_text == "n: a number"


def test_validation_details_become_error_text() -> None:
    details: list[Any] = [{"type": "missing", "loc": ("n",), "msg": "Field required", "input": {}}]
    recorder = MapperRecorder().tools(called(valid=False), retried(content=details))

    [error] = recorder.events
    assert isinstance(error, ToolInputError)
    assert "Field required" in error.error_text


def test_tool_retry_request_becomes_a_tool_output_error() -> None:
    recorder = MapperRecorder().tools(called(), retried(content="try Paris"))

    assert recorder.events == [INPUT, ToolOutputError(tool_call_id="c", error_text="try Paris")]


def test_failed_tool_result_becomes_a_tool_output_error() -> None:
    part = ToolReturnPart("f", "boom", "c", outcome="failed")
    recorder = MapperRecorder().tools(called(), FunctionToolResultEvent(part=part))

    assert recorder.events[-1] == ToolOutputError(tool_call_id="c", error_text="boom")


@pytest.mark.parametrize(
    ("content", "output"),
    [(None, None), ({"a": (1, 2)}, {"a": [1, 2]}), (b"hi", "hi"), (object, "<class 'object'>")],
)
def test_tool_result_becomes_json(content: Any, output: Any) -> None:
    recorder = MapperRecorder().tools(called(), returned(content=content))

    assert recorder.events[-1] == ToolOutputAvailable(tool_call_id="c", output=output)
    assert recorder.events[-1].encode()


def test_reused_tool_call_id_is_a_new_call() -> None:
    shown: list[StreamEvent] = [StartStep(), INPUT_START, INPUT]
    recorder = MapperRecorder(*shown)
    recorder.tools(called(), returned())
    recorder.mapper.end_step()

    recorder.mapper.start_step()
    recorder.tools(called(valid=False), retried())
    recorder.tools(called(n=2), returned())

    kinds = [type(event) for event in recorder.events]
    assert kinds == [
        ToolOutputAvailable,
        FinishStep,
        StartStep,
        ToolInputError,
        ToolInputAvailable,
        ToolOutputAvailable,
    ]


def test_steps_start_and_end_once() -> None:
    recorder = MapperRecorder()
    for _ in range(2):
        recorder.mapper.start_step()
        recorder.mapper.start_step()
        recorder.mapper.end_step()
        recorder.mapper.end_step()

    assert recorder.events == [StartStep(), FinishStep()] * 2


def test_open_step_is_continued() -> None:
    recorder = MapperRecorder(StartStep())

    recorder.mapper.start_step()
    recorder.mapper.end_step()

    assert recorder.events == [FinishStep()]


def test_step_with_completed_calls_ends_before_the_next_request() -> None:
    recorder = MapperRecorder(StartStep(), INPUT_START, INPUT, OUTPUT)

    recorder.mapper.start_step()

    assert recorder.events == [FinishStep(), StartStep()]


def test_interrupted_text_continues_in_the_same_part() -> None:
    recorder = MapperRecorder(
        StartStep(), TextStart(id="text-1"), TextDelta(id="text-1", delta="Hel")
    )

    recorder.model(*whole(0, TextPart("lo")), *whole(1, TextPart("!")))

    assert recorder.events == [
        TextDelta(id="text-1", delta="lo"),
        TextEnd(id="text-1"),
        TextStart(id="text-2"),
        TextDelta(id="text-2", delta="!"),
        TextEnd(id="text-2"),
    ]


def test_interrupted_text_ends_with_the_response() -> None:
    recorder = MapperRecorder(StartStep(), TextStart(id="text-1"))

    recorder.mapper.end_response()
    recorder.mapper.end_response()

    assert recorder.events == [TextEnd(id="text-1")]


def test_interrupted_reasoning_ends_immediately() -> None:
    recorder = MapperRecorder(StartStep(), ReasoningStart(id="reasoning-1"))
    assert recorder.rest() == [ReasoningEnd(id="reasoning-1")]

    recorder.model(*whole(0, ThinkingPart("hm")))

    assert recorder.events[0] == ReasoningStart(id="reasoning-2")


def test_interrupted_call_is_continued_with_its_old_id() -> None:
    half = ToolInputDelta(tool_call_id="c", input_text_delta='{"n"')
    recorder = MapperRecorder(StartStep(), INPUT_START, half)

    recorder.model(
        PartStartEvent(index=0, part=ToolCallPart("f", "", "new")),
        PartDeltaEvent(index=0, delta=ToolCallPartDelta(args_delta='{"n":1}')),
        PartEndEvent(index=0, part=ToolCallPart("f", '{"n":1}', "new")),
    )
    recorder.mapper.end_response()
    response = ModelResponse(parts=[ToolCallPart("f", '{"n":1}', "new")], provider_name="ollama")
    recorder.mapper.restore_call_ids(response)

    assert [call.tool_call_id for call in response.tool_calls] == ["c"]
    assert model_ids([response], "ollama") == {"c": "new"}
    assert model_ids([response], "openai") == {}
    recorder.tools(called("c"), returned("c"))
    assert recorder.events == [INPUT, OUTPUT]


def test_tool_metadata_events_follow_the_result() -> None:
    source = SourceUrl(source_id="s", url="https://example.com")
    card = Data(type="data-card", data={"at": PurePath("/tmp")})
    metadata = [source, card, Error(error_text="no"), "no"]
    part = ToolReturnPart("f", "ok", "c", metadata=metadata)

    recorder = MapperRecorder().tools(called(), FunctionToolResultEvent(part=part))

    assert recorder.events == [INPUT, OUTPUT, source, Data(type="data-card", data={"at": "/tmp"})]


@pytest.mark.parametrize("metadata", [None, {"a": 1}, "text", 7])
def test_other_tool_metadata_is_dropped(metadata: Any) -> None:
    part = ToolReturnPart("f", "ok", "c", metadata=metadata)

    assert MapperRecorder().tools(called(), FunctionToolResultEvent(part=part)).events == [
        INPUT,
        OUTPUT,
    ]


def test_interrupted_call_without_a_repeat_ends_with_an_error() -> None:
    half = ToolInputDelta(tool_call_id="c", input_text_delta='{"n"')
    recorder = MapperRecorder(StartStep(), INPUT_START, half)

    recorder.model(PartStartEvent(index=0, part=ToolCallPart("g", "", "new")))
    recorder.mapper.end_response()

    [_, error] = recorder.events
    assert isinstance(error, ToolInputError)
    assert (error.tool_call_id, error.input) == ("c", '{"n"')


def test_completed_call_input_is_not_repeated() -> None:
    recorder = MapperRecorder(StartStep(), INPUT_START, INPUT)

    recorder.tools(called(), returned())

    assert recorder.events == [OUTPUT]


def test_streamed_call_beside_a_completed_one_gets_its_input() -> None:
    other = ToolInputStart(tool_call_id="d", tool_name="f")
    recorder = MapperRecorder(StartStep(), INPUT_START, other, INPUT)

    recorder.tools(called("c"), called("d"), returned("c"), returned("d"))

    assert recorder.events[0] == ToolInputAvailable(tool_call_id="d", tool_name="f", input={"n": 1})
    assert len(recorder.events) == 3


def test_irrelevant_model_events_are_dropped() -> None:
    recorder = MapperRecorder().model(FinalResultEvent(tool_name=None, tool_call_id=None))
    recorder.tools(FinalResultEvent(tool_name=None, tool_call_id=None))
    recorder.model(PartDeltaEvent(index=9, delta=TextPartDelta("lost")))

    assert recorder.events == []
