"""What the API's own document says."""

import json
import re
from typing import Any, get_args

import pytest

from api.app import create_app
from api.basic_wire import BasicEvent
from shared import events
from shared.settings import Settings

DOCUMENT = create_app(Settings()).openapi()
UI_MESSAGE, BASIC = "text/event-stream", "text/event-stream; profile=basic"
ASKED = [("/chat", "post"), ("/chat/completions", "post"), ("/chat/{chat_id}/stream", "get")]


def content(path: str, method: str) -> dict[str, Any]:
    return DOCUMENT["paths"][path][method]["responses"]["200"]["content"]


def names(media_type: dict[str, Any]) -> set[str]:
    """The types of events that a schema has."""
    kinds = [
        kind["properties"]["type"]
        for kind in media_type["schema"]["contentSchema"]["items"]["oneOf"]
    ]
    return {kind.get("const", "data-*") for kind in kinds}


@pytest.mark.parametrize(("path", "method"), ASKED)
def test_an_answer_is_documented_on_both_wires(path: str, method: str) -> None:
    documented = content(path, method)

    assert set(documented) == {UI_MESSAGE, BASIC}
    union = get_args(get_args(events.StreamEvent)[0])
    assert len(names(documented[UI_MESSAGE])) == len(union)
    kinds = {kind.model_fields["type"].default for kind in get_args(get_args(BasicEvent)[0])}
    assert names(documented[BASIC]) == kinds
    for media_type in documented.values():
        assert media_type["example"].startswith(": stream-open\n\nid: 1-")
        assert media_type["example"].endswith("data: [DONE]\n\n")


def test_an_events_schema_names_what_is_always_there() -> None:
    kinds = content("/chat", "post")[BASIC]["schema"]["contentSchema"]["items"]["oneOf"]
    required = {kind["properties"]["type"]["const"]: kind["required"] for kind in kinds}

    assert required == {
        "text-delta": ["type", "textDelta"],
        "tool-call": ["type", "toolCallId", "toolName", "args"],
        "tool-result": ["type", "toolCallId", "toolName", "args", "result"],
        "finish": ["type", "finishReason"],
        "error": ["type", "error", "code"],
    }


def test_every_reference_leads_somewhere() -> None:
    references = re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(DOCUMENT))
    for reference in references:
        place: Any = DOCUMENT
        for step in reference.split("/"):
            place = place[step]


def test_the_earlier_name_says_that_it_is_one() -> None:
    earlier = DOCUMENT["paths"]["/chat/completions"]["post"]

    assert "earlier name of `POST /chat`" in earlier["summary"]
    assert "deprecated" not in earlier
    assert earlier["requestBody"] == DOCUMENT["paths"]["/chat"]["post"]["requestBody"]
