"""Chats are visible to their owner only.

The tests cover every route of the OpenAPI document, so a new route without protection fails here.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Generator
from dataclasses import dataclass
from typing import Any, NamedTuple

import httpx
import pytest

from api.app import create_app
from api.auth.public_routes import is_public_path
from shared.api_key import new_api_key
from shared.redis import keys
from shared.redis.client import Redis
from shared.settings import Settings
from tests.support.auth.credentials import SECRET, Json, secret_token, valid_claims
from tests.support.processes import Api, Valkey, running

pytestmark = pytest.mark.usefixtures("redis")

CHAT = "trip"
METHODS = {"get", "post", "put", "patch", "delete"}
ENV = {
    "MAMBA_AUTH__MODE": "jwt",
    "MAMBA_AUTH__JWT__ALGORITHMS": '["HS256"]',
    "MAMBA_AUTH__JWT__SECRET": SECRET * 2,
    "MAMBA_AUTH__JWT__AUDIENCE": '["mamba"]',
    "MAMBA_AUTH__JWT__ISSUER": "us",
    "MAMBA_AUTH__JWT__TENANT_CLAIM": "org",
}


class Route(NamedTuple):
    method: str
    path: str

    @property
    def has_chat_id(self) -> bool:
        return "{chat_id}" in self.path


def routes() -> list[Route]:
    schema: dict[str, Any] = create_app(Settings()).openapi()
    return [
        Route(method.upper(), path)
        for path, operations in schema["paths"].items()
        for method in operations
        if method in METHODS
    ]


def token(algorithm: str = "HS256", **claims: Any) -> str:
    defaults = {"aud": "mamba", "iss": "us", "org": "acme"}
    return secret_token(valid_claims(**{**defaults, **claims}), algorithm, SECRET * 2)


def authorized(token: str) -> Json:
    return {"authorization": f"Bearer {token}"}


OWNER = authorized(token())
OTHERS: dict[str, Json] = {
    "another user": authorized(token(sub="eve")),
    "the same name in another tenant": authorized(token(org="other")),
    "a name that contains the tenant": authorized(token(org="a", sub="cme:ann")),
}
INVALID_CREDENTIALS: dict[str, Json] = {
    "no credentials": {},
    "expired": authorized(token(exp=int(time.time()) - 60)),
    "another algorithm": authorized(token("HS384")),
    "another audience": authorized(token(aud="other")),
    "another issuer": authorized(token(iss="them")),
    "no tenant": authorized(token(org=None)),
    "another secret": authorized(secret_token(valid_claims(), secret="x" * 64)),
    "an API key": {"x-api-key": new_api_key()},
    "a password": {"authorization": "Basic YTpi"},
}


@pytest.fixture(scope="module")
def api(valkey: Valkey) -> Generator[Api]:
    with running(Api(valkey.url, ENV)) as process:
        yield process
        output = process.output
        assert "Traceback" not in output
        assert "request.failed" not in output
        for headers in (OWNER, *OTHERS.values(), *INVALID_CREDENTIALS.values()):
            assert not any(value.split()[-1] in output for value in headers.values())


@dataclass
class Client:
    http: httpx.AsyncClient
    #: The message of the owner's run.
    message_id: str = "none"

    async def send(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Return the response. A stream is closed after its headers."""
        async with self.http.stream(method, path, **options) as response:
            if not response.headers.get("content-type", "").startswith("text/event-stream"):
                await response.aread()
            return response

    async def send_chat(self, headers: Json, **body: Any) -> httpx.Response:
        messages = [{"role": "user", "content": "Hi"}]
        chat = {"id": CHAT, "messages": messages, **body}
        return await self.send("POST", "/chat", json=chat, headers=headers)

    async def call(self, route: Route, headers: Json) -> httpx.Response:
        """Call a route. Fails on path parameters without a value here."""
        body: Json = {"json": {}} if route.method in ("POST", "PUT", "PATCH") else {}
        names = {"chat_id": CHAT, "message_id": self.message_id, "name": "generateCard"}
        path = route.path.format(**names)
        return await self.send(route.method, path, headers=headers, **body)


@pytest.fixture
async def client(api: Api) -> AsyncGenerator[Client]:
    async with httpx.AsyncClient(base_url=api.url, timeout=20) as http:
        yield Client(http)


@pytest.fixture
async def run_id(client: Client, redis: Redis) -> str:  # noqa: ARG001  (empties Redis)
    """The id of a live run in the owner's chat."""
    response = await client.send_chat(OWNER)
    assert response.status_code == 200
    run_id = response.headers["x-run-id"]
    client.message_id = f"msg_{run_id}"
    return run_id


def test_document_lists_the_routes_under_test() -> None:
    documented = routes()

    assert Route("POST", "/chat") in documented
    assert sum(route.has_chat_id for route in documented) >= 2


@pytest.mark.parametrize("headers", INVALID_CREDENTIALS.values(), ids=INVALID_CREDENTIALS.keys())
@pytest.mark.parametrize("route", routes(), ids=" ".join)
async def test_invalid_credentials_reach_only_public_routes(
    client: Client, run_id: str, redis: Redis, route: Route, headers: Json
) -> None:
    before = await redis.execute_command("HGETALL", keys.run(run_id))

    response = await client.call(route, headers)

    if is_public_path(route.path):
        assert response.status_code in (200, 503)
        return
    assert response.status_code == 401
    assert response.headers["www-authenticate"].startswith("Bearer ")
    assert response.json()["code"] == "unauthenticated"
    assert await redis.execute_command("HGETALL", keys.run(run_id)) == before


@pytest.mark.parametrize("route", routes(), ids=" ".join)
@pytest.mark.usefixtures("run_id")
async def test_owner_reaches_every_route(client: Client, route: Route) -> None:
    response = await client.call(route, OWNER)

    assert response.status_code not in (401, 403, 404)


@pytest.mark.parametrize("headers", OTHERS.values(), ids=OTHERS.keys())
@pytest.mark.parametrize("route", [route for route in routes() if route.has_chat_id], ids=" ".join)
async def test_chat_of_another_owner_seems_not_to_exist(
    client: Client, run_id: str, redis: Redis, route: Route, headers: Json
) -> None:
    """The response is identical to that of a chat that does not exist."""
    before = await redis.execute_command("HGETALL", keys.run(run_id))

    existing = await client.call(route, headers)
    missing_route = Route(route.method, route.path.replace("{chat_id}", "no"))
    missing = await client.call(missing_route, headers)

    assert existing.status_code in (204, 404)
    assert comparable(existing) == comparable(missing)
    foreign, unknown = [
        await client.call(route, {**headers, "last-event-id": f"1-0@{run}"})
        for run in (run_id, "unknown")
    ]
    assert foreign.status_code in (404, 410)
    assert comparable(foreign) == comparable(unknown)
    assert await redis.execute_command("HGETALL", keys.run(run_id)) == before


def comparable(response: httpx.Response) -> tuple[object, ...]:
    names = sorted(response.headers.keys() - {"x-request-id", "date"})
    problem: Json = response.json() if response.content else {}
    return response.status_code, names, {**problem, "request_id": None}


@pytest.mark.parametrize("headers", OTHERS.values(), ids=OTHERS.keys())
async def test_same_chat_id_of_two_owners_is_two_chats(
    client: Client, run_id: str, redis: Redis, headers: Json
) -> None:
    """A live run or `supersede` of one owner does not affect the chat of the other."""
    other = await client.send_chat(headers)
    superseded = await client.send_chat(headers, supersede=True)

    assert (other.status_code, superseded.status_code) == (200, 200)
    assert (await client.send_chat(OWNER)).status_code == 409
    state = await redis.execute_command("HMGET", keys.run(run_id), "state", "stop_requests")
    assert state == [b"queued", b"0"]
    stream = await client.send("GET", f"/chat/{CHAT}/stream", headers=headers)
    assert stream.headers["x-run-id"] == superseded.headers["x-run-id"]


@pytest.mark.parametrize("headers", OTHERS.values(), ids=OTHERS.keys())
async def test_live_chats_of_another_owner_are_not_listed(
    client: Client, run_id: str, headers: Json
) -> None:
    listed = [
        await client.send("GET", "/chats?state=live", headers=caller) for caller in (OWNER, headers)
    ]

    assert [chat["runId"] for chat in listed[0].json()["chats"]] == [run_id]
    assert listed[1].json()["chats"] == []


async def test_owner_finds_the_chat_with_another_token(client: Client, run_id: str) -> None:
    again = authorized(token(exp=int(time.time()) + 60, scope="a b"))

    stream = await client.send("GET", f"/chat/{CHAT}/stream", headers=again)

    assert stream.headers["x-run-id"] == run_id


async def test_authentication_precedes_reading_the_body(api: Api) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
    head = "POST /chat HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    writer.write(f"{head}content-length: 1000000\r\n\r\n".encode())
    await writer.drain()

    async with asyncio.timeout(10):
        line = await reader.readline()

    assert b" 401 " in line
    writer.close()


async def test_mode_none_rejects_rebound_host_and_foreign_page(valkey: Valkey) -> None:
    api = Api(valkey.url).start()
    try:
        await api.ready()
        async with httpx.AsyncClient(base_url=api.url, timeout=30) as http:
            rebound = await http.get("/models", headers={"host": "evil.example:8000"})
            page = {"origin": "https://evil.example", "sec-fetch-site": "cross-site"}
            forged = await http.post("/chat/x/stop", headers=page)
            mine = await http.get("/models", headers={"host": f"localhost:{api.port}"})
        assert (rebound.status_code, forged.status_code, mine.status_code) == (403, 403, 200)
        assert rebound.json()["code"] == "forbidden"
        assert "api.open_to_all" not in api.output
    finally:
        await api.stop()


@pytest.mark.parametrize(("mode", "warned"), [({}, True), (ENV, False)], ids=["none", "jwt"])
async def test_mode_none_on_a_public_address_logs_a_warning(
    valkey: Valkey, mode: dict[str, str], *, warned: bool
) -> None:
    api = Api(valkey.url, {**mode, "MAMBA_SERVER__HOST": "0.0.0.0"}).start()
    try:
        await api.ready()
    finally:
        output = api.output
        await api.stop()

    assert ("api.open_to_all" in output) == warned
