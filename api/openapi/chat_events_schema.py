"""OpenAPI description of the feed of a chat."""

from typing import Any

from pydantic import TypeAdapter

from api.openapi.component_schemas import REF_TEMPLATE, Schema, components, reference, require_type
from api.streaming.chat_state import (
    ChatCursor,
    ChatEvent,
    QueueChangedEvent,
    RunEndedEvent,
    RunStartedEvent,
)
from api.streaming.stream_format import EVENT_STREAM
from shared.streams.run_state import RunState

_RUN, _NEXT = "8vGQ2kZ1xkqkJwqfJ0yR", "Zx81QkqkJwqfJ0yR8vGQ"
_EXAMPLE: tuple[ChatEvent, ...] = (
    RunEndedEvent(run_id=_RUN, message_id=f"msg_{_RUN}", state=RunState.SUCCEEDED),
    RunStartedEvent(run_id=_NEXT, message_id=f"msg_{_NEXT}", state=RunState.QUEUED),
    QueueChangedEvent(waiting=[]),
)


def chat_event_schemas() -> Schema:
    """Return the union `ChatEvent` and the schema of each event."""
    adapter: TypeAdapter[Any] = TypeAdapter(ChatEvent)
    schema = adapter.json_schema(by_alias=True, ref_template=REF_TEMPLATE)
    for definition in schema["$defs"].values():
        if "type" in definition.get("properties", ()):
            require_type(definition)
    return components("ChatEvent", schema, lambda class_name: class_name)


def _example() -> str:
    events = [f"data: {event.model_dump_json()}\n\n" for event in _EXAMPLE]
    cursor = ChatCursor(_NEXT, _NEXT, ()).encode()
    return ": stream-open\n\n" + "".join([*events[:-1], f"id: {cursor}\n", events[-1]])


EVENTS_RESPONSE: dict[int | str, Schema] = {
    200: {
        "description": (
            "The events of the chat. The `data` of each is a `ChatEvent`. The last event of each"
            " change has an `id`, the cursor for `Last-Event-ID`. Comments are heartbeats."
        ),
        "content": {
            EVENT_STREAM: {
                # A key of OpenAPI 3.2. Readers of 3.1 ignore it.
                "itemSchema": {
                    "type": "object",
                    "required": ["data"],
                    "properties": {
                        "id": {"type": "string", "description": "The cursor"},
                        "data": {
                            "type": "string",
                            "contentMediaType": "application/json",
                            "contentSchema": reference("ChatEvent"),
                        },
                    },
                },
                "example": _example(),
            }
        },
    }
}
