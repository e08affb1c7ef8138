"""What the document says of the wires."""

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


def kinds(union: str) -> list[dict[str, Any]]:
    """The schemas of a union's events, each of which is a component."""
    return [SCHEMAS[kind["$ref"].rpartition("/")[2]] for kind in SCHEMAS[union]["anyOf"]]


def names(union: str) -> list[str]:
    return sorted(kind["properties"]["type"].get("const", "data-*") for kind in kinds(union))


def datas(example: str) -> list[str]:
    return re.findall(r"^data: (.+)$", example, re.MULTILINE)


@pytest.mark.parametrize(("path", "method"), STREAMED)
def test_stream_response_documents_both_formats(path: str, method: str) -> None:
    answer = DOCUMENT["paths"][path][method]["responses"]["200"]

    assert {"x-run-id", "x-chat-id", "x-request-id"} == set(answer["headers"])
    assert set(answer["content"]) == {UI_MESSAGE, BASIC}
    for media_type, union in ((UI_MESSAGE, "StreamEvent"), (BASIC, "BasicEvent")):
        said = answer["content"][media_type]
        _, event = said["itemSchema"]["properties"]["data"]["anyOf"]
        assert event["contentSchema"] == {"$ref": f"#/components/schemas/{union}"}
        assert said["example"].startswith(": stream-open\n\nid: 1-")
        assert said["example"].endswith("data: [DONE]\n\n")


def test_each_stream_format_has_all_its_events() -> None:
    union = get_args(get_args(events.StreamEvent)[0])
    types = [get_args(kind)[0].model_fields["type"].default for kind in union]
    assert names("StreamEvent") == sorted(t if isinstance(t, str) else "data-*" for t in types)

    basic = get_args(get_args(BasicEvent)[0])
    assert names("BasicEvent") == sorted(kind.model_fields["type"].default for kind in basic)


def test_example_matches_the_encoded_stream() -> None:
    content = DOCUMENT["paths"]["/chat"]["post"]["responses"]["200"]["content"]

    *said, done = datas(content[UI_MESSAGE]["example"])
    *basic, basic_done = datas(content[BASIC]["example"])
    assert done == basic_done == "[DONE]"
    assert events.decode(said[-1].encode()).type == "finish"
    adapter: TypeAdapter[BasicEvent] = TypeAdapter(BasicEvent)
    types = [adapter.validate_json(data).type for data in basic]
    assert types == ["tool-call", "tool-result", "text-delta", "finish"]


def test_event_schema_lists_required_fields() -> None:
    basic = kinds("BasicEvent")
    required = {kind["properties"]["type"]["const"]: kind["required"] for kind in basic}

    assert required == {
        "text-delta": ["type", "textDelta"],
        "tool-call": ["type", "toolCallId", "toolName", "args"],
        "tool-result": ["type", "toolCallId", "toolName", "args", "result"],
        "finish": ["type", "finishReason"],
        "error": ["type", "error", "code"],
    }
    assert all("type" in kind["required"] for kind in kinds("StreamEvent"))
