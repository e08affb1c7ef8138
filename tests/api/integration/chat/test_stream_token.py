"""A stream token follows one chat, for clients that cannot send headers."""

from collections.abc import AsyncGenerator, Generator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from shared.api_key import new_api_key
from shared.redis.client import Redis
from tests.support.auth.credentials import SECRET, secret_token, valid_claims
from tests.support.processes import Api, Valkey, running
from tests.support.system.accepted_chats import start_run

CHAT = "a chat/with a slash"
KEY = new_api_key()
STREAMS = ("stream", "events")
API_KEYS = f'[{{"name": "ann", "key": "{KEY}", "scopes": ["operator"]}}]'
MODES: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "none": ({}, {}),
    "api_key": (
        {"MAMBA_AUTH__MODE": "api_key", "MAMBA_AUTH__API_KEYS": API_KEYS},
        {"x-api-key": KEY},
    ),
    "jwt": (
        {
            "MAMBA_AUTH__MODE": "jwt",
            "MAMBA_AUTH__JWT__ALGORITHMS": '["HS256"]',
            "MAMBA_AUTH__JWT__SECRET": SECRET * 2,
        },
        {
            "authorization": "Bearer "
            + secret_token({**valid_claims(), "aud": None}, "HS256", SECRET * 2)
        },
    ),
}


@pytest.fixture(scope="module", params=MODES)
def mode(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def api(valkey: Valkey, mode: str) -> Generator[Api]:
    environment = {**MODES[mode][0], "MAMBA_LOGGING__LEVEL": "debug"}
    with running(Api(valkey.url, environment)) as process:
        yield process


@pytest.fixture
async def client(api: Api, mode: str, redis: Redis) -> AsyncGenerator[httpx.AsyncClient]:
    """A client with credentials, in a chat with a live run."""
    assert redis
    async with httpx.AsyncClient(base_url=api.url, headers=MODES[mode][1], timeout=20) as client:
        await start_run(client, CHAT)
        yield client


@pytest.fixture
async def page(api: Api, client: httpx.AsyncClient) -> AsyncGenerator[httpx.AsyncClient]:
    """A client without credentials, as an `EventSource` is."""
    assert client
    async with httpx.AsyncClient(base_url=api.url, timeout=20) as page:
        yield page


async def issue(client: httpx.AsyncClient, chat_id: str = CHAT) -> Any:
    response = await client.post(f"/chat/{chat_id}/stream-token")
    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-store"
    return response.json()


async def get(client: httpx.AsyncClient, path: str) -> httpx.Response:
    """Return the response. A stream is closed after its headers."""
    async with client.stream("GET", path) as response:
        if not response.headers.get("content-type", "").startswith("text/event-stream"):
            await response.aread()
        return response


@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("prefix", ["/chat", "/chat/completions"])
async def test_token_follows_its_chat(
    client: httpx.AsyncClient, page: httpx.AsyncClient, prefix: str, stream: str
) -> None:
    issued = await issue(client)

    response = await get(page, f"{prefix}/{CHAT}/{stream}?token={issued['token']}")

    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/event-stream")
    left = datetime.fromisoformat(issued["expiresAt"]) - datetime.now(UTC)
    assert timedelta(seconds=40) < left <= timedelta(seconds=60)


@pytest.mark.parametrize("stream", STREAMS)
async def test_token_of_another_chat_is_rejected(
    client: httpx.AsyncClient, page: httpx.AsyncClient, stream: str
) -> None:
    await start_run(client, "other")
    token = (await issue(client))["token"]

    response = await get(page, f"/chat/other/{stream}?token={token}")

    assert response.status_code == 401
    assert response.json()["code"] == "unauthenticated"
    assert "Request a new one" in response.json()["detail"]


@pytest.mark.parametrize("query", ["token=", "token=forged", "token=a&token=b"])
@pytest.mark.parametrize("stream", STREAMS)
async def test_invalid_token_is_rejected_despite_credentials(
    client: httpx.AsyncClient, stream: str, query: str
) -> None:
    response = await get(client, f"/chat/{CHAT}/{stream}?{query}")

    assert response.status_code == 401


@pytest.mark.parametrize("stream", STREAMS)
async def test_expired_token_is_rejected(
    client: httpx.AsyncClient, page: httpx.AsyncClient, redis: Redis, stream: str
) -> None:
    token = (await issue(client))["token"]
    [key] = await redis.execute_command("KEYS", "mamba:stream-token:*")
    assert token.encode() not in key
    assert 0 < await redis.execute_command("PTTL", key) <= 60_000

    await redis.execute_command("PEXPIRE", key, 0)

    assert (await get(page, f"/chat/{CHAT}/{stream}?token={token}")).status_code == 401


async def test_token_grants_nothing_else(
    client: httpx.AsyncClient, page: httpx.AsyncClient, mode: str
) -> None:
    """Other routes ignore the token; in mode none, they need no credentials."""
    token = (await issue(client))["token"]
    others = [
        ("GET", f"/chat/{CHAT}/message"),
        ("GET", f"/chat/{CHAT}/messages/events"),
        ("GET", "/chats"),
        ("GET", "/metrics"),
        ("POST", f"/chat/{CHAT}/stop"),
        ("POST", f"/chat/{CHAT}/stream-token"),
        ("DELETE", f"/chat/{CHAT}"),
    ]

    statuses = [
        (await page.request(method, path, params={"token": token})).status_code
        for method, path in others
    ]

    if mode != "none":
        assert statuses == [401] * len(others)
    else:
        assert 401 not in [statuses[0], *statuses[2:]]


async def test_chat_without_runs_has_no_token(client: httpx.AsyncClient) -> None:
    response = await client.post("/chat/unknown/stream-token")

    assert (response.status_code, response.json()["code"]) == (404, "not_found")


async def test_log_contains_no_token(
    api: Api, client: httpx.AsyncClient, page: httpx.AsyncClient
) -> None:
    token = (await issue(client))["token"]
    paths = (f"/chat/{CHAT}/stream", f"/chat/{CHAT}/events", "/chat/other/stream", "/unknown")

    for path in paths:
        await get(page, f"{path}?token={token}")

    assert "request.finished" in api.output
    assert token not in api.output
