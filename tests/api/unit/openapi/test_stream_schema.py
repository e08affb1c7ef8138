"""The OpenAPI document describes both stream formats."""

import json
import re
from typing import Any, get_args

import pytest
from pydantic import TypeAdapter

from api.streaming.basic_format import BasicEvent
from mamba.codegen import openapi
from shared.streams import events

DOCUMENT: dict[str, Any] = json.loads(openapi.page())
SCHEMAS: dict[str, Any] = DOCUMENT["components"]["schemas"]
UI_MESSAGE, BASIC = "text/event-stream", "text/event-stream; profile=basic"
STREAMED = [
    *(("/chat", "post"), ("/chat/{chat_id}/stream", "get")),
    *(("/chat/completions", "post"), ("/chat/completions/{chat_id}/stream", "get")),
]


def event_schemas(union: str) -> list[dict[str, Any]]:
    """Return the component schemas of a union's events."""
    return [SCHEMAS[event["$ref"].rpartition("/")[2]] for event in SCHEMAS[union]["anyOf"]]


def event_types(union: str) -> list[str]:
    schemas = event_schemas(union)
    return sorted(schema["properties"]["type"].get("const", "data-*") for schema in schemas)


def data_lines(example: str) -> list[str]:
    return re.findall(r"^data: (.+)$", example, re.MULTILINE)


@pytest.mark.parametrize(("path", "method"), STREAMED)
def test_stream_response_documents_both_formats(path: str, method: str) -> None:
    response = DOCUMENT["paths"][path][method]["responses"]["200"]

    assert {"x-run-id", "x-chat-id", "x-request-id"} == set(response["headers"])
    assert set(response["content"]) == {UI_MESSAGE, BASIC}
    for media_type, union in ((UI_MESSAGE, "StreamEvent"), (BASIC, "BasicEvent")):
        content = response["content"][media_type]
        _, event = content["itemSchema"]["properties"]["data"]["anyOf"]
        assert event["contentSchema"] == {"$ref": f"#/components/schemas/{union}"}
        assert content["example"].startswith(": stream-open\n\nid: 1-")
        assert content["example"].endswith("data: [DONE]\n\n")


def test_each_stream_format_has_all_its_events() -> None:
    union = get_args(get_args(events.StreamEvent)[0])
    types = [get_args(kind)[0].model_fields["type"].default for kind in union]
    assert event_types("StreamEvent") == sorted(
        t if isinstance(t, str) else "data-*" for t in types
    )

    basic = get_args(get_args(BasicEvent)[0])
    assert event_types("BasicEvent") == sorted(kind.model_fields["type"].default for kind in basic)


def test_example_matches_the_encoded_stream() -> None:
    content = DOCUMENT["paths"]["/chat"]["post"]["responses"]["200"]["content"]

    *ui_message, done = data_lines(content[UI_MESSAGE]["example"])
    *basic, basic_done = data_lines(content[BASIC]["example"])
    assert done == basic_done == "[DONE]"
    assert events.decode(ui_message[-1].encode()).type == "finish"
    adapter: TypeAdapter[BasicEvent] = TypeAdapter(BasicEvent)
    types = [adapter.validate_json(data).type for data in basic]
    assert types == ["tool-call", "tool-result", "text-delta", "finish"]


def test_event_schema_lists_required_fields() -> None:
    required = {
        schema["properties"]["type"]["const"]: schema["required"]
        for schema in event_schemas("BasicEvent")
    }

    assert required == {
        "text-delta": ["type", "textDelta"],
        "tool-call": ["type", "toolCallId", "toolName", "args"],
        "tool-result": ["type", "toolCallId", "toolName", "args", "result"],
        "finish": ["type", "finishReason"],
        "error": ["type", "error", "code"],
    }
    assert all("type" in schema["required"] for schema in event_schemas("StreamEvent"))
