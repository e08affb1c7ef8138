"""Stored events of every type, their entries, and strategies that generate them."""

from hypothesis import strategies as st

from shared.runs.finalize import RunEnding
from shared.streams import events
from shared.streams.event_stream import Entry
from shared.streams.events import DONE, Event


def entries_of(*stored_events: Event) -> list[Entry]:
    data = [*(event.encode() for event in stored_events), DONE]
    return [Entry(1, offset, event) for offset, event in enumerate(data, 1)]


CALL = events.ToolInputAvailable(tool_call_id="k", tool_name="f", input={"a": None})


OMITTED_IN_BASIC: list[Event] = [
    events.Start(message_id="m"),
    events.StartStep(),
    events.FinishStep(),
    events.TextStart(id="t"),
    events.TextEnd(id="t"),
    events.ReasoningStart(id="r"),
    events.ReasoningDelta(id="r", delta="hm"),
    events.ReasoningEnd(id="r"),
    events.ToolInputStart(tool_call_id="k", tool_name="f"),
    events.ToolInputDelta(tool_call_id="k", input_text_delta="{"),
    events.ToolInputError(tool_call_id="k", tool_name="f", input="{", error_text="bad"),
    events.ToolOutputAvailable(tool_call_id="another run's", output=1),
    events.ToolOutputError(tool_call_id="another run's", error_text="bad"),
    events.ToolApprovalRequest(approval_id="a", tool_call_id="k"),
    events.ToolOutputDenied(tool_call_id="another run's"),
    events.SourceUrl(source_id="s", url="https://a.example"),
    events.SourceDocument(source_id="s", media_type="text/plain", title="t"),
    events.File(url="data:,", media_type="text/plain"),
    events.Data(type="data-x", data={"code": "x"}),
    events.Data(type="data-error", data=None),
    events.MessageMetadata(message_metadata={"a": 1}),
]


names = st.sampled_from(["k", "l"])


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=4,
)


any_event = st.one_of(
    st.sampled_from(OMITTED_IN_BASIC),
    st.builds(events.TextDelta, id=names, delta=st.text(max_size=3)),
    st.builds(events.ToolInputAvailable, tool_call_id=names, tool_name=names, input=json_values),
    st.builds(events.ToolOutputAvailable, tool_call_id=names, output=json_values),
    st.builds(events.ToolOutputError, tool_call_id=names, error_text=st.text(max_size=3)),
)


endings = st.sampled_from(
    [[events.Finish(finish_reason="stop")], [events.Abort()], RunEnding.lost("req-1").events]
)
