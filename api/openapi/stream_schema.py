"""OpenAPI description of an event stream: both stream formats with their events and examples."""

from collections.abc import Sequence
from typing import Any

from pydantic import TypeAdapter

from api.openapi.component_schemas import REF_TEMPLATE, Schema, components, reference, require_type
from api.streaming.basic_format import BasicConverter, BasicEvent
from api.streaming.sse import encode_sse
from api.streaming.stream_format import BASIC, EVENT_STREAM
from shared.streams.event_stream import Entry
from shared.streams.events import (
    DONE,
    Finish,
    FinishStep,
    Start,
    StartStep,
    StreamEvent,
    TextDelta,
    TextEnd,
    TextStart,
    ToolInputAvailable,
    ToolInputStart,
    ToolOutputAvailable,
)

RUN_HEADERS = {name: {"$ref": f"#/components/headers/{name}"} for name in ("x-run-id", "x-chat-id")}
_RUN = "8vGQ2kZ1xkqkJwqfJ0yR"
_CALL, _CARD = "call_1", {"title": "Rome", "body": "Sunny, 21 °C"}
_EXAMPLE: list[StreamEvent] = [
    Start(message_id=f"msg_{_RUN}"),
    StartStep(),
    ToolInputStart(tool_call_id=_CALL, tool_name="generateCard"),
    ToolInputAvailable(tool_call_id=_CALL, tool_name="generateCard", input=_CARD),
    ToolOutputAvailable(tool_call_id=_CALL, output=_CARD),
    FinishStep(),
    StartStep(),
    TextStart(id="text-1"),
    TextDelta(id="text-1", delta="Here it is."),
    TextEnd(id="text-1"),
    FinishStep(),
    Finish(finish_reason="stop"),
]


def stream_response() -> dict[int | str, Schema]:
    """Return the `200` response that streams a run, for the `responses` of a route."""
    entries = [Entry(1, offset, event.encode()) for offset, event in enumerate(_EXAMPLE, 1)]
    entries.append(Entry(1, len(entries) + 1, DONE))
    return {
        200: {
            "description": (
                "The answer as a UI message stream of the AI SDK, or in the basic format if the"
                f" request has `Accept: {EVENT_STREAM}; profile={BASIC.profile}`. The `data` of"
                " each event is a `StreamEvent` or a `BasicEvent`; the last one is `[DONE]`. The"
                " `id` of an event is the cursor for `Last-Event-ID`, which resumes the stream."
                " Comments are heartbeats, or belong to merged events."
            ),
            "headers": RUN_HEADERS,
            "content": {
                EVENT_STREAM: _content("StreamEvent", entries),
                f"{EVENT_STREAM}; profile={BASIC.profile}": _content(
                    "BasicEvent", BasicConverter()(entries)
                ),
            },
        }
    }


def event_schemas() -> Schema:
    """Return both unions and the schema of each event, such as `BasicTextDeltaEvent`."""
    stream: TypeAdapter[StreamEvent] = TypeAdapter(StreamEvent)
    basic: TypeAdapter[BasicEvent] = TypeAdapter(BasicEvent)
    return {**_union("StreamEvent", stream), **_union("BasicEvent", basic)}


def _union(name: str, events: TypeAdapter[Any]) -> Schema:
    schema = events.json_schema(by_alias=True, ref_template=REF_TEMPLATE)
    for class_name, definition in schema["$defs"].items():
        require_type(definition, {"pattern": "^data-"} if class_name == "Data" else None)
    return components(name, schema, lambda class_name: f"{class_name}Event")


def _content(event: str, example: Sequence[Entry]) -> Schema:
    return {
        # A key of OpenAPI 3.2 that describes one server-sent event. Readers of 3.1 ignore it.
        "itemSchema": {
            "type": "object",
            "required": ["data"],
            "properties": {
                "id": {"type": "string", "description": "The cursor", "examples": [f"1-57@{_RUN}"]},
                "data": {
                    "anyOf": [
                        {"const": "[DONE]"},
                        {
                            "type": "string",
                            "contentMediaType": "application/json",
                            "contentSchema": reference(event),
                        },
                    ]
                },
            },
        },
        "example": ": stream-open\n\n" + encode_sse(example, _RUN.encode()).decode(),
    }
