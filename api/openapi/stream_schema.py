"""What the API's document says of an answer: each wire with its events and an example."""

from collections.abc import Sequence
from typing import Any

from pydantic import TypeAdapter

from api.openapi.component_schemas import TEMPLATE, Schema, components, reference, require_type
from api.streaming.basic_format import BasicEvent, BasicView
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
    """A `200` that streams an answer, for a route's `responses`."""
    log = [Entry(1, offset, event.encode()) for offset, event in enumerate(_EXAMPLE, 1)]
    log.append(Entry(1, len(log) + 1, DONE))
    return {
        200: {
            "description": (
                "The answer, as the AI SDK's UI message stream; or on the basic wire, to who sends"
                f" `Accept: {EVENT_STREAM}; profile={BASIC.profile}`. Each event's `data` is a"
                " `StreamEvent` or a `BasicEvent`, and the last one is `[DONE]`; its `id` is the"
                " cursor to come back with in `Last-Event-ID`. Comments are heartbeats."
            ),
            "headers": {
                name: {"$ref": f"#/components/headers/{name}"} for name in ("x-run-id", "x-chat-id")
            },
            "content": {
                EVENT_STREAM: _content("StreamEvent", log),
                f"{EVENT_STREAM}; profile={BASIC.profile}": _content(
                    "BasicEvent", BasicView()(log)
                ),
            },
        }
    }


def event_schemas() -> Schema:
    """Both unions, each event a schema of its own: `TextDeltaEvent`, and `BasicTextDeltaEvent`."""
    stream: TypeAdapter[StreamEvent] = TypeAdapter(StreamEvent)
    basic: TypeAdapter[BasicEvent] = TypeAdapter(BasicEvent)
    return {**_union("StreamEvent", stream), **_union("BasicEvent", basic)}


def _union(name: str, events: TypeAdapter[Any]) -> Schema:
    schema = events.json_schema(by_alias=True, ref_template=TEMPLATE)
    for kind, made in schema["$defs"].items():
        require_type(made, {"pattern": "^data-"} if kind == "Data" else None)
    return components(name, schema, lambda kind: f"{kind}Event")


def _content(event: str, example: Sequence[Entry]) -> Schema:
    return {
        # A key of OpenAPI 3.2, for one server-sent event; readers of 3.1 leave it out.
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
