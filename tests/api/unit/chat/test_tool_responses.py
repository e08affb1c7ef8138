"""Tool responses and client tools in requests."""

from typing import Any

import pytest

from shared.errors import InvalidRequest
from shared.streams.tool_responses import ToolResponse
from tests.support.fakes.chat_requests import STEP, continued, read_body, tool_part

MESSAGE: dict[str, Any] = {"messages": [{"role": "user", "content": "Hi"}]}


async def validation_error(body: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        await read_body(body)
    return caught.value


def client_tool(**fields: Any) -> dict[str, Any]:
    return {"name": "locate", "inputSchema": {"type": "object"}, **fields}


async def test_tool_responses_come_from_the_last_step() -> None:
    chat = await read_body(
        continued(
            *(STEP, tool_part("c0", "output-available", output=0)),
            *(STEP, tool_part("c1", "output-available", output=1)),
            tool_part("c2", "output-error", errorText="Oh"),
            tool_part("c3", "approval-responded", approval={"id": "a", "approved": True}),
            tool_part("c4", "approval-responded", approval={"approved": False, "reason": "No"}),
            *(tool_part("c5", "input-available"), tool_part("c6", "approval-requested")),
        )
    )

    responses = chat.tool_responses()
    assert [(item.field_path, item.call_id, item.response) for item in responses] == [
        ("messages[1].parts[3]", "c1", ToolResponse(output=1)),
        ("messages[1].parts[4]", "c2", ToolResponse(error="Oh")),
        ("messages[1].parts[5]", "c3", ToolResponse(approved=True)),
        ("messages[1].parts[6]", "c4", ToolResponse(approved=False, reason="No")),
    ]


async def test_tool_invocations_of_a_message_are_tool_responses() -> None:
    call = {"toolCallId": "c1", "toolName": "locate", "state": "result", "result": 1}
    failed = {**call, "toolCallId": "c2", "isError": True, "result": "Oh"}
    earlier = {**call, "toolCallId": "c0", "step": 0}
    calls = [earlier, {**call, "step": 1}, {**failed, "step": 1}]
    chat = await read_body(continued(content="", toolInvocations=calls))

    responses = chat.tool_responses()
    assert [(item.field_path, item.response) for item in responses] == [
        ("messages[1].toolInvocations[1]", ToolResponse(output=1)),
        ("messages[1].toolInvocations[2]", ToolResponse(error="Oh")),
    ]


async def test_user_message_has_no_tool_responses() -> None:
    body = continued(STEP, tool_part("c1", "output-available", output=1))
    body["messages"].append({"role": "user", "content": "Never mind"})

    assert (await read_body(body)).tool_responses() == []


async def test_history_excludes_the_steps_of_earlier_runs() -> None:
    texts = ({"type": "text", "text": text} for text in "abc")
    chat = await read_body(continued(*(part for text in texts for part in (STEP, text))))

    assert [[part.type for part in message.parts] for message in chat.history_before(2)] == [
        *(["text"], ["step-start", "text"])
    ]
    assert len(chat.history_before(3)) == 1


@pytest.mark.parametrize(
    ("version", "supported"), [(None, False), (5, False), (6, True), (7, True)]
)
async def test_sdk_version_decides_whether_approvals_are_supported(
    version: int | None,
    supported: bool,  # noqa: FBT001
) -> None:
    chat = await read_body({**continued(STEP), **MESSAGE, "sdkVersion": version})
    assert chat.supports_approvals is supported


def doubling(ref: str, *, at: str = "$defs") -> dict[str, Any]:
    """Return a short schema that expands to millions of objects when each `$ref` is resolved."""

    def twice(name: int) -> dict[str, Any]:
        return {"properties": {side: {"$ref": ref.format(name)} for side in "ab"}}

    return {**twice(0), at: {**{str(n): twice(n + 1) for n in range(20)}, "20": {}}}


async def test_client_tool_may_have_the_fields_of_openai() -> None:
    tool = {"name": "locate", "description": None, "parameters": {"type": "object"}}

    chat = await read_body({**MESSAGE, "clientTools": [tool]})
    usual = await read_body({**MESSAGE, "clientTools": [client_tool()]})
    assert chat.client_tools == usual.client_tools


async def test_client_tool_schema_may_have_recursive_definitions() -> None:
    pair = {"properties": {"left": {"$ref": "#/$defs/tree"}, "right": {"$ref": "#/$defs/tree"}}}
    schema = {"properties": {"tree": {"$ref": "#/$defs/tree"}}, "$defs": {"tree": pair}}
    point: dict[str, Any] = {
        "properties": {"a": {"items": [{}]}, "b": {"$ref": "#/properties/a/items/0"}}
    }
    tools = [client_tool(inputSchema=schema), client_tool(name="draw", inputSchema=point)]

    assert len((await read_body({**MESSAGE, "clientTools": tools})).client_tools or ()) == 2


@pytest.mark.parametrize(
    ("tools", "field"),
    [
        ([client_tool(name="")], "clientTools[0].name"),
        ([client_tool(name="a b")], "clientTools[0].name"),
        ([client_tool(), client_tool()], "clientTools[1].name"),
        ([client_tool(description="x" * 4097)], "clientTools[0].description"),
        ([{"name": "locate"}], "clientTools[0].inputSchema"),
        ([client_tool(inputSchema={"type": "string"})], "clientTools[0].inputSchema"),
        ([client_tool(inputSchema={"title": "x" * 16_384})], "clientTools[0].inputSchema"),
        ([client_tool(inputSchema={"required": "city"})], "clientTools[0].inputSchema"),
        ([client_tool(inputSchema=doubling("#/$defs/{}"))], "clientTools[0].inputSchema"),
        ([client_tool(inputSchema={"anyOf": [{}] * 1000})], "clientTools[0].inputSchema"),
        ([client_tool(inputSchema=doubling("#/~0/{}", at="~"))], "clientTools[0].inputSchema"),
        ([client_tool(name=f"t{n}") for n in range(65)], "clientTools"),
    ],
)
async def test_invalid_client_tool_is_rejected_with_its_field(tools: list[Any], field: str) -> None:
    assert (await validation_error({**MESSAGE, "clientTools": tools})).field == field
