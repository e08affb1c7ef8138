"""What the API's document says of its bodies and of the wires: schemas and examples."""

from collections.abc import Sequence
from typing import Any, cast

from pydantic import TypeAdapter

from api.basic_wire import BasicEvent, BasicView
from api.chat_request import ChatRequest
from api.sse import encode_sse
from api.wires import BASIC, EVENT_STREAM
from shared.events import (
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
from shared.stream import Entry

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


def chat_request() -> dict[str, Any]:
    return inlined(ChatRequest.model_json_schema(by_alias=True))


def event_streams() -> dict[str, Any]:
    """The `content` of a response: each wire with the schema of its events and one example."""
    log = [Entry(1, offset, event.encode()) for offset, event in enumerate(_EXAMPLE, 1)]
    log.append(Entry(1, len(log) + 1, DONE))
    return {
        EVENT_STREAM: _content(TypeAdapter(StreamEvent), log),
        f"{EVENT_STREAM}; profile={BASIC.profile}": _content(
            TypeAdapter(BasicEvent), BasicView()(log)
        ),
    }


def _content(events: TypeAdapter[Any], example: Sequence[Entry]) -> dict[str, Any]:
    return {
        "schema": {
            "type": "string",
            "description": "Server-sent events. The `data` of each is one of these, as JSON;"
            " that of the last is `[DONE]`.",
            "contentMediaType": EVENT_STREAM,
            "contentSchema": {
                "type": "array",
                "items": _event_schema(events),
            },
        },
        "example": ": stream-open\n\n" + encode_sse(example, _RUN.encode()).decode(),
    }


def _event_schema(events: TypeAdapter[Any]) -> dict[str, Any]:
    schema = inlined(events.json_schema())
    for kind in schema["oneOf"]:
        # It has a default here, and is always there on the wire.
        kind["required"] = list(dict.fromkeys(["type", *kind.get("required", ())]))
    return schema


def inlined(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema with its `$defs` in their places: a `$ref` means the whole document to OpenAPI.

    None of ours is recursive.
    """
    definitions = cast("dict[str, Any]", schema.pop("$defs", {}))

    def resolve(node: object) -> Any:  # noqa: ANN401  (any JSON)
        match node:
            case {"$ref": str(reference)}:
                return resolve(definitions[reference.removeprefix("#/$defs/")])
            case dict():
                fields = cast("dict[str, Any]", node)
                # Its mapping is by reference; each event names its own type.
                return {k: resolve(v) for k, v in fields.items() if k != "discriminator"}
            case list():
                return [resolve(item) for item in cast("list[Any]", node)]
            case _:
                return node

    return resolve(schema)
