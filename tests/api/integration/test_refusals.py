"""Every request is accepted or rejected with a problem response, never with a 500."""

import asyncio
import codecs
import json
from collections.abc import AsyncGenerator, AsyncIterator, Generator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from shared.redis import keys
from shared.redis.client import Redis
from tests.support.processes import Api, Valkey, running

pytestmark = pytest.mark.usefixtures("redis")

BODIES = {
    path.stem: path.read_bytes()
    for path in sorted((Path(__file__).parents[2] / "support/request_bodies").glob("*.json"))
}
#: The only body that responds to a tool call.
TOOL_RESPONSE = BODIES.pop("denial")
HI = {"role": "user", "content": "Hi"}
MB = 1024 * 1024
HEAD = "POST /chat HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"


@pytest.fixture(scope="module")
def api(valkey: Valkey) -> Generator[Api]:
    with running(Api(valkey.url)) as process:
        yield process
        output = process.output
        assert "Traceback" not in output


@pytest.fixture
async def client(api: Api) -> AsyncGenerator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=api.url, timeout=20) as client:
        yield client


#: Keys that an API process writes independently of requests.
PROCESS_KEYS = (b"mamba:api", b"mamba:samples", b"mamba:counters:", b"mamba:workers:watch")


async def queue_length(redis: Redis) -> int:
    return await redis.execute_command("ZCARD", keys.QUEUE)


async def stored_keys(redis: Redis) -> list[bytes]:
    names: list[bytes] = await redis.execute_command("KEYS", "*")
    return [name for name in names if not name.startswith(PROCESS_KEYS)]


def chat(*messages: Any, **more: Any) -> bytes:
    return json.dumps({"messages": messages or [HI], **more}).encode()


def parts(*parts: Any) -> bytes:
    return chat({"role": "user", "parts": parts})


def last_tool_part(text: str) -> bytes:
    """Return a body that ends with a tool part whose input is this JSON text."""
    return tool_part(text).replace(b',{"role":"user","content":"Hi"}', b"")


def tool_part(text: str) -> bytes:
    """Return a body with a tool part whose input is this JSON text."""
    part = '{"type":"tool-f","toolCallId":"k","state":"output-available","input":%s,"output":1}'
    message = '{"role":"assistant","parts":[%s]}' % (part % text)
    return f'{{"messages":[{message},{{"role":"user","content":"Hi"}}]}}'.encode()


def assert_problem(
    response: httpx.Response, status: int, code: str, field: str | None = None
) -> None:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["status"] == status
    assert problem["code"] == code
    assert problem["detail"]
    assert problem["title"] != "Error"
    assert problem.get("field") == field
    assert problem["request_id"] == response.headers["x-request-id"]


async def post(client: httpx.AsyncClient, body: bytes | AsyncIterator[bytes]) -> httpx.Response:
    """Return the response. A stream is closed after its headers."""
    headers = {"content-type": "application/json"}
    async with client.stream("POST", "/chat", content=body, headers=headers) as response:
        if response.status_code != 200:
            await response.aread()
        return response


async def test_tool_response_to_an_expired_call_returns_410(
    client: httpx.AsyncClient,
) -> None:
    response = await post(client, TOOL_RESPONSE)

    assert (response.status_code, response.json()["code"]) == (410, "pending_expired")
    assert response.json()["field"] == "messages[1].parts[1]"


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
async def test_body_of_a_real_client_is_accepted(
    client: httpx.AsyncClient, redis: Redis, body: bytes
) -> None:
    response = await post(client, body)

    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/event-stream")
    run_id = response.headers["x-run-id"]
    assert await redis.execute_command("ZRANGE", keys.QUEUE, 0, -1) == [run_id.encode()]
    assert json.loads(await redis.execute_command("GET", keys.job(run_id)))["f"] == "run_chat"


ACCEPTED = {
    "plain content without an id": chat(),
    "null for every optional field": chat(
        {**HI, "id": None, "parts": None},
        id=None,
        model=None,
        agent=None,
        tools=None,
        supersede=None,
    ),
    "null in every optional field of a tool part": chat(
        HI,
        {
            "role": "assistant",
            "content": None,
            "parts": [
                {
                    "type": "tool-f",
                    "toolCallId": "k",
                    "toolName": None,
                    "state": None,
                    "input": None,
                    "output": None,
                    "errorText": None,
                    "approval": None,
                }
            ],
        },
        HI,
    ),
    "an empty map of tools": chat(tools={}, system="", callSettings={}),
    "settings of the model": chat(temperature=0, max_tokens=5, callSettings={"seed": 1}),
    "duplicate object key": b'{"id":"a","id":"b","messages":[{"role":"user","content":"Hi"}]}',
    "unknown keys": chat({**HI, "mood": [{}]}, mood={"a": [1]}),
    "a number beyond a float": tool_part('{"a":1e400}'),
    "a number of 4,000 digits": tool_part('{"a":' + "9" * 4000 + "}"),
    "a NUL in a text": chat({"role": "user", "content": "a\0b"}),
    "an input nested 90 deep": tool_part("[" * 90 + "]" * 90),
    "an older input nested 120 deep": tool_part("[" * 120 + "]" * 120),
    "an older message's id: a list": chat({**HI, "id": []}, HI),
    "an older message's id: 100 kB": chat({**HI, "id": "a" * 100_000}, HI),
    "a tool call's id of 10 kB": tool_part("1").replace(b'"k"', b'"' + b"k|" * 5000 + b'"'),
    "an input of 2 MB": tool_part('"' + "0," * MB + '"'),
    "an input of 40,000 values": tool_part("[" + "0," * 40_000 + "0]"),
    "invalid UTF-8": b'{"messages":[{"role":"user","content":"\xff\xfe"}]}',
    "UTF-16": chat().decode().encode("utf-16"),
    "a lone surrogate in a text": b'{"messages":[{"role":"user","content":"\\ud800"}]}',
    "a lone surrogate in an id": b'{"id":"\\udc00","messages":[{"role":"user","content":"Hi"}]}',
    "a lone surrogate in a key": b'{"\\ud800":1,"messages":[{"role":"user","content":"Hi"}]}',
    "a lone surrogate in an input's key": tool_part('{"\\ud800":1}'),
    "a lone surrogate in an older message": chat({"role": "user", "content": "\ud83d"}, HI),
    "a byte order mark": codecs.BOM_UTF8 + chat(),
    "NaN and Infinity": tool_part('{"a":NaN,"b":[-Infinity]}'),
    "an emoji as a pair of surrogates": chat({"role": "user", "content": "\U0001f600"}),
}


@pytest.mark.parametrize("body", ACCEPTED.values(), ids=ACCEPTED.keys())
async def test_unusual_body_is_accepted(
    client: httpx.AsyncClient, redis: Redis, body: bytes
) -> None:
    response = await post(client, body)

    assert response.status_code == 200, response.text
    assert await queue_length(redis) == 1


async def test_body_without_a_content_type_is_read(client: httpx.AsyncClient) -> None:
    async with client.stream("POST", "/chat", content=chat()) as response:
        assert "content-type" not in response.request.headers
        assert response.status_code == 200
    assert_problem(await client.post("/chat", content=b"Hi"), 422, "invalid_request")


INVALID_JSON = {
    "an incomplete object": b'{"messages":',
    "empty": b"",
    "plain text": b"hello",
    "two values": chat() + chat(),
    "a raw NUL": b'{"messages":"\0"}',
    "nested 100,000 deep": b"[" * 100_000,
    "nested 100,000 deep in an unknown key": (
        b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"," + chat()[1:]
    ),
    "nested 100,000 deep in an input": tool_part("[" * 100_000 + "]" * 100_000),
    "objects nested 100,000 deep in an input": tool_part('{"a":' * 100_000 + "1" + "}" * 100_000),
    "a number of 100,000 digits": tool_part("9" * 100_000),
    "a number of 100,000 digits for an id": b'{"id":' + b"9" * 100_000 + b"," + chat()[1:],
}


@pytest.mark.parametrize("body", INVALID_JSON.values(), ids=INVALID_JSON.keys())
async def test_invalid_json_returns_422(
    client: httpx.AsyncClient, redis: Redis, body: bytes
) -> None:
    assert_problem(await post(client, body), 422, "invalid_request")
    assert await stored_keys(redis) == []


INVALID_FIELDS = {
    "a list": (b"[]", None),
    "a string": (b'"Hi"', None),
    "a number": (b"1e400", None),
    "null": (b"null", None),
    "no messages": (b"{}", "messages"),
    "an empty history": (b'{"messages":[]}', "messages"),
    "messages: an object": (b'{"messages":{}}', "messages"),
    "messages: null": (b'{"messages":null}', "messages"),
    "a message: null": (chat(None), "messages[0]"),
    "a message: a string": (chat(HI, "Hi"), "messages[1]"),
    "no role": (chat({"content": "Hi"}), "messages[0].role"),
    "role: unknown": (chat({"role": "critic", "content": "Hi"}), "messages[0].role"),
    "content: a number": (chat({"role": "user", "content": 1}), "messages[0].content"),
    "content: an object": (chat({"role": "user", "content": {}}), "messages[0].content"),
    "a text in content: a number": (
        chat({"role": "user", "content": [{"type": "text", "text": 1}]}),
        "messages[0].content[0].text",
    ),
    "parts: a string": (chat({"role": "user", "parts": "Hi"}), "messages[0].parts"),
    "a part: null": (parts({"type": "text", "text": "Hi"}, None), "messages[0].parts[1]"),
    "a part: a list": (parts([]), "messages[0].parts[0]"),
    "a part without a type": (parts({"note": "Hi"}), "messages[0].parts[0]"),
    "a part's type: a number": (parts({"type": 1}), "messages[0].parts[0]"),
    "a part's type: a list": (parts({"type": ["text"]}), "messages[0].parts[0]"),
    "a text: missing": (parts({"type": "text"}), "messages[0].parts[0].text"),
    "a setting that is not allowed": (chat(HI, reasoning_effort="high"), "reasoningEffort"),
    "a setting of assistant-ui: too large": (
        chat(HI, callSettings={"temperature": 3}),
        "callSettings.temperature",
    ),
    "a setting that no agent supports": (chat(HI, top_k=5), "top_k"),
    "a system text: a number in a list": (chat(HI, system=[1]), "system"),
    "a text: null, and no other": (parts({"type": "text", "text": None}), "messages[0]"),
    "a tool call's id: missing": (
        chat(HI, {"role": "assistant", "parts": [{"type": "tool-f"}]}),
        "messages[1].parts[0].toolCallId",
    ),
    "an input nested 120 deep": (
        last_tool_part("[" * 120 + "]" * 120),
        "messages[0].parts[0].input",
    ),
    "an input nested 190 deep": (
        last_tool_part('{"a":' * 190 + "1" + "}" * 190),
        "messages[0].parts[0].input",
    ),
    "a file: without a URL": (
        parts({"type": "file", "mediaType": "text/plain"}),
        "messages[0].parts[0].url",
    ),
    "a file: a file URL": (
        parts({"type": "file", "mediaType": "text/plain", "url": "file:///etc/passwd"}),
        "messages[0].parts[0].url",
    ),
    "a file: with broken base64": (
        parts({"type": "file", "mediaType": "text/plain", "url": "data:;base64,====x"}),
        "messages[0].parts[0].url",
    ),
    "id: a number": (chat(id=5), "id"),
    "id: empty": (chat(id=""), "id"),
    "id: 100 kB": (chat(id="a" * 100_000), "id"),
    "id: with a line break": (chat(id="a\r\nx-evil: 1"), "id"),
    "id: with a NUL": (chat(id="a\0b"), "id"),
    "a message's id: 100 kB": (
        chat(HI, {**HI, "role": "assistant", "id": "a" * 100_000}),
        "messages[1].id",
    ),
    "model: a number": (chat(model=1), "model"),
    "model: empty": (chat(model=""), "model"),
    "model: 100 kB": (chat(model="m" * 100_000), "model"),
    "agent: unknown": (chat(agent="unknown"), "agent"),
    "agent: a list": (chat(agent=["chat"]), "agent"),
    "tools: a string": (chat(tools="generateCard"), "tools"),
    "tools: numbers": (chat(tools=[1]), "tools[0]"),
    "tools: unknown": (chat(tools=["generateCard", "rm"]), "tools[1]"),
    "supersede: a string": (chat(supersede="perhaps"), "supersede"),
    "supersede: a list": (chat(supersede=[]), "supersede"),
    "an empty last message": (
        chat(HI, {"role": "user", "parts": []}),
        "messages[1]",
    ),
}


@pytest.mark.parametrize(("body", "field"), INVALID_FIELDS.values(), ids=INVALID_FIELDS.keys())
async def test_invalid_field_returns_422_with_its_path(
    client: httpx.AsyncClient, redis: Redis, body: bytes, field: str | None
) -> None:
    assert_problem(await post(client, body), 422, "invalid_request", field)
    assert await stored_keys(redis) == []


async def in_chunks(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), 65_536):
        yield body[start : start + 65_536]


TOO_LARGE = {
    "10 MB": (b" " * 10 * MB, None),
    "10,000 messages": (chat(*[HI] * 10_000), "messages"),
    "millions of invalid messages": (
        b'{"messages":[' + b"0," * 4_000_000 + b"0]}",
        "messages",
    ),
    "millions of calls": (
        b'{"messages":[{"role":"assistant","invalid_tool_calls":[' + b"0," * 4_000_000 + b"0]}]}",
        "messages[0].tool_calls",
    ),
    "millions of images": (
        b'{"messages":[{"role":"user","images":[' + b"0," * 3_000_000 + b"0]}]}",
        "messages[0].attachments",
    ),
    "10,000 parts": (parts(*[{"type": "x"}] * 10_000), "messages[0].parts"),
    "10,000 parts as content": (
        chat({"role": "user", "content": [{"type": "x"}] * 10_000}),
        "messages[0].content",
    ),
}


@pytest.mark.parametrize(("body", "field"), TOO_LARGE.values(), ids=TOO_LARGE.keys())
async def test_too_large_body_returns_413(
    client: httpx.AsyncClient, redis: Redis, body: bytes, field: str | None
) -> None:
    assert_problem(await post(client, body), 413, "too_large", field)
    assert await stored_keys(redis) == []


async def test_large_chunked_body_returns_413(client: httpx.AsyncClient, redis: Redis) -> None:
    assert_problem(await post(client, in_chunks(b" " * 10 * MB)), 413, "too_large")
    assert await stored_keys(redis) == []


@pytest.mark.parametrize(
    "body",
    [
        b'{"messages":[{"role":"user","content":"Hi"}],"tools":[' + b"1," * 4_000_000 + b"1]}",
        b'{"messages":[' + b'{"role":"user","parts":[' + b"1," * 999 + b"1]}]}",
    ],
    ids=["tools", "parts"],
)
async def test_body_with_millions_of_errors_is_rejected_quickly(
    client: httpx.AsyncClient, api: Api, body: bytes
) -> None:
    used_before = api.cpu_seconds

    assert (await post(client, body)).status_code == 422
    assert api.cpu_seconds - used_before < 3


async def test_unknown_agent_or_tool_error_lists_available_names(client: httpx.AsyncClient) -> None:
    agent = (await post(client, chat(agent="unknown"))).json()["detail"]
    tool = (await post(client, chat(tools=["unknown"]))).json()["detail"]

    assert agent.endswith("Available agents: chat, code_review, research.")
    assert "generateForm, generateChart, generateCode, generateCard" in tool


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/chat"),
        ("PUT", "/chat"),
        ("DELETE", "/chat"),
        ("GET", "/chat/x/stop"),
        ("PUT", "/chat/x/stop"),
        ("POST", "/chat/x/stream"),
        ("GET", "/chat/x"),
        ("GET", "/chat/x/y/z"),
        ("POST", "/models"),
    ],
)
async def test_wrong_method_returns_405(client: httpx.AsyncClient, method: str, path: str) -> None:
    response = await client.request(method, path)

    assert_problem(response, 405, "method_not_allowed")
    assert response.headers["allow"]


@pytest.mark.parametrize("path", ["/nothing", "/%00", "/%ff"])
async def test_unknown_path_returns_404(client: httpx.AsyncClient, path: str) -> None:
    assert_problem(await client.get(path), 404, "not_found")


PATH_IDS = ["x", "a%2Fb", "a/b", "%E6%97%A5%E6%9C%AC", "%2E%2E", "%ff%fe", "a%20b", "%F0"]


@pytest.mark.parametrize("chat_id", PATH_IDS)
async def test_unknown_chat_returns_204_for_stream_and_404_for_stop(
    client: httpx.AsyncClient, chat_id: str
) -> None:
    assert (await client.get(f"/chat/{chat_id}/stream")).status_code == 204
    assert_problem(await client.post(f"/chat/{chat_id}/stop"), 404, "not_found")


@pytest.mark.parametrize("chat_id", ["a" * 10_000, "%00", "a%09b"])
async def test_invalid_chat_id_in_the_path_returns_422(
    client: httpx.AsyncClient, chat_id: str
) -> None:
    for response in (
        await client.get(f"/chat/{chat_id}/stream"),
        await client.post(f"/chat/{chat_id}/stop"),
    ):
        assert_problem(response, 422, "invalid_request", "chat_id")


@pytest.mark.parametrize("chat_id", ["日本", "a b", "a/b", "ü?#%", "…" * 256, "<script>", "a:b"])
async def test_returned_chat_id_addresses_the_chat(
    client: httpx.AsyncClient, redis: Redis, chat_id: str
) -> None:
    response = await post(client, chat(id=chat_id))
    assert response.status_code == 200
    path = response.headers["x-chat-id"]

    async with client.stream("GET", f"/chat/{path}/stream") as following:
        assert following.headers["x-run-id"] == response.headers["x-run-id"]
    stopped = await client.post(f"/chat/{path}/stop")

    assert stopped.json() == {"run_id": response.headers["x-run-id"], "state": "cancelled"}
    assert await queue_length(redis) == 0


@pytest.mark.parametrize(
    "cursor", ["garbage", "-1-1", "1", "1-", "1-1@", "9" * 50 + "-1", "1-1@" + "a" * 50_000, "é"]
)
async def test_invalid_last_event_id_returns_422(client: httpx.AsyncClient, cursor: str) -> None:
    response = await client.get("/chat/x/stream", headers={b"last-event-id": cursor.encode()})

    assert_problem(response, 422, "invalid_request", "Last-Event-ID")


@pytest.mark.parametrize("cursor", ["1-1", "1-1@unknown"])
async def test_cursor_of_an_expired_run_returns_410(client: httpx.AsyncClient, cursor: str) -> None:
    response = await client.get("/chat/x/stream", headers={"last-event-id": cursor})

    assert_problem(response, 410, "cursor_expired")
    assert response.json()["detail"] == "The run of this cursor is no longer stored."


async def test_cursor_of_another_chat_returns_404(client: httpx.AsyncClient) -> None:
    run_id = (await post(client, chat(id="mine"))).headers["x-run-id"]

    response = await client.get("/chat/x/stream", headers={"last-event-id": f"1-1@{run_id}"})

    assert_problem(response, 404, "not_found")


@pytest.mark.parametrize("request_id", ["req-1", "a.b:c_D-9", "x" * 128])
async def test_valid_request_id_is_kept(client: httpx.AsyncClient, request_id: str) -> None:
    response = await client.get("/nothing", headers={"x-request-id": request_id})

    assert response.headers.get_list("x-request-id") == [request_id]
    assert response.json()["request_id"] == request_id


@pytest.mark.parametrize("request_id", ["", "a b", "x" * 129, "é", "<script>", "x" * 50_000, '"'])
async def test_invalid_request_id_is_replaced(client: httpx.AsyncClient, request_id: str) -> None:
    response = await client.get("/nothing", headers={b"x-request-id": request_id.encode()})

    [returned] = response.headers.get_list("x-request-id")
    assert returned.startswith("req_")
    assert response.json()["request_id"] == returned


async def test_missing_request_id_is_generated(client: httpx.AsyncClient) -> None:
    first, second = await client.get("/health/live"), await client.get("/health/live")

    assert first.headers["x-request-id"] != second.headers["x-request-id"]


@asynccontextmanager
async def connected(
    api: Api,
) -> AsyncGenerator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
    try:
        yield reader, writer
    finally:
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize(
    "length", ["abc", "-5", "", "99999999999999999999", "2\r\ncontent-length: 3"]
)
async def test_invalid_content_length_returns_400(api: Api, redis: Redis, length: str) -> None:
    async with connected(api) as (reader, writer):
        head = HEAD + f"content-length: {length}\r\n\r\n"
        writer.write(head.encode() + chat())

        assert (await reader.readline()).startswith(b"HTTP/1.1 400 ")
    assert await stored_keys(redis) == []


async def test_endless_request_head_returns_431(api: Api) -> None:
    async with connected(api) as (reader, writer):
        writer.write(f"{HEAD}x: {'a' * 1_000_000}".encode())

        assert (await reader.readline()).startswith(b"HTTP/1.1 431 ")


async def test_content_length_over_the_limit_returns_413_early(api: Api) -> None:
    async with connected(api) as (reader, writer):
        writer.write(f"{HEAD}content-length: 9999999999\r\n\r\n{{".encode())

        assert (await reader.readline()).startswith(b"HTTP/1.1 413 ")


async def test_incomplete_body_leaves_nothing_in_redis(
    api: Api, client: httpx.AsyncClient, redis: Redis
) -> None:
    async with connected(api) as (_, writer):
        writer.write(f"{HEAD}content-length: 5000\r\n\r\n".encode() + chat())
        await writer.drain()

    assert (await client.get("/health/live")).status_code == 200
    assert await stored_keys(redis) == []
    assert "request.failed" not in api.output


@pytest.mark.parametrize(
    "values", ["[" + "0," * 60_000 + "0]", "[" + "{}," * 60_000 + "0]", "[" + "{}," * MB + "0]"]
)
async def test_input_with_too_many_values_returns_413(
    client: httpx.AsyncClient, redis: Redis, values: str
) -> None:
    response = await post(client, last_tool_part(values))

    assert response.status_code == 413
    assert response.json()["code"] == "too_large"
    assert await redis.execute_command("ZCARD", keys.QUEUE) == 0
