"""The documented configurations of nginx and Caddy, in front of a real API."""

import json
import secrets
from collections.abc import AsyncGenerator

import httpx
import pytest
import pytest_asyncio

from tests.interop.conftest import HEARTBEAT_SECONDS, InteropSystem
from tests.interop.reverse_proxies import NginxProxy, ReverseProxy
from tests.support.sse_client import SseClient, check_whole, open_sse_client, text
from tests.support.wait import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

PREFIXES = pytest.mark.parametrize("prefix", ["", "/mamba"], ids=["root", "prefix"])
PAUSED = [[{"text": ["Hel"]}, {"wait": True}, {"text": ["lo"]}]]


@pytest.fixture
def name() -> str:
    """A unique name for the chat and the model of a test."""
    return secrets.token_hex(8)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def sse() -> AsyncGenerator[SseClient]:
    async with open_sse_client() as sse:
        yield sse


@pytest_asyncio.fixture(loop_scope="session")
async def client(proxy: ReverseProxy) -> AsyncGenerator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=proxy.url, verify=False, timeout=60) as client:
        yield client


@PREFIXES
async def test_each_token_arrives_at_once(
    proxy: ReverseProxy, system: InteropSystem, sse: SseClient, name: str, prefix: str
) -> None:
    await system.upstream.script(name, PAUSED)

    async with sse.ask(f"{proxy.url}{prefix}/chat", name, model=name) as stream:
        events = await stream.until("text-delta")
        assert text(events) == "Hel"
        await system.upstream.release(name)
        events += await stream.rest()

    check_whole(events)
    assert text(events) == "Hello"
    replayed = await sse.replay(f"{proxy.url}{prefix}/chat", name)
    assert replayed == events


async def test_silent_stream_stays_open(
    proxy: ReverseProxy, system: InteropSystem, sse: SseClient, name: str
) -> None:
    await system.upstream.script(name, PAUSED)
    longer_than_the_timeout = NginxProxy.read_timeout_seconds / HEARTBEAT_SECONDS + 2

    async with sse.ask(f"{proxy.url}/chat", name, model=name) as stream:
        events = await stream.until("text-delta")
        for _ in range(int(longer_than_the_timeout)):
            assert await stream.comment() == ": keep-alive"
        await system.upstream.release(name)
        events += await stream.rest()

    check_whole(events)


async def test_disconnect_reaches_the_api_and_stop_ends_the_run(
    proxy: ReverseProxy, system: InteropSystem, sse: SseClient, name: str
) -> None:
    await system.upstream.script(name, PAUSED)
    async with sse.ask(f"{proxy.url}/chat", name, model=name) as stream:
        await stream.until("text-delta")
        request_id = stream.response.headers["x-request-id"]

    async def disconnected() -> bool:
        lines = [line for line in system.api.output.splitlines() if request_id in line]
        return any('"client_gone"' in line for line in lines)

    await until(disconnected)
    stopped = await sse.stop(f"{proxy.url}/chat", name)
    assert stopped.json()["state"] == "cancelled"


@PREFIXES
@pytest.mark.parametrize("path", ["/chat/", "//chat", "/chat//"])
async def test_superfluous_slashes_cause_no_redirect(
    proxy: ReverseProxy, system: InteropSystem, name: str, prefix: str, path: str
) -> None:
    await system.upstream.script(name, [[{"words": 2}]])
    body = {"id": name, "model": name, "messages": [{"role": "user", "content": "Hi"}]}

    async with httpx.AsyncClient(verify=False, timeout=60) as client:
        response = await client.post(f"{proxy.url}{prefix}{path}", json=body)

    assert response.status_code == 200
    assert response.text.endswith("data: [DONE]\n\n")


@PREFIXES
@pytest.mark.parametrize("page", ["docs", "redoc", "ops"])
async def test_pages_refer_to_urls_below_the_prefix(
    client: httpx.AsyncClient, prefix: str, page: str
) -> None:
    redirect = await client.get(f"{prefix}/{page}/")
    assert redirect.status_code == 308
    location = redirect.url.join(redirect.headers["location"])
    assert location == client.base_url.join(f"{prefix}/{page}")

    document = await client.get(location)
    assert document.status_code == 200
    for reference in ('src="', 'href="'):
        for part in document.text.split(reference)[1:]:
            url = location.join(part.partition('"')[0])
            assert (await client.get(url)).status_code == 200, url
            assert url.path.startswith(f"{prefix}/")


@PREFIXES
async def test_openapi_document_names_the_published_url(
    client: httpx.AsyncClient, prefix: str
) -> None:
    response = await client.get(f"{prefix}/openapi.json")

    [server] = response.json()["servers"]
    published = response.url.join(server["url"])
    assert (await client.get(published.join("models"))).status_code == 200
    assert str(published) == f"{client.base_url}{prefix}/"


@PREFIXES
async def test_head_is_answered_like_get(client: httpx.AsyncClient, prefix: str) -> None:
    for path in ("/health", "/health/live", "/health/ready", "/models"):
        response = await client.head(f"{prefix}{path}")
        assert (response.status_code, response.content) == (200, b""), path


async def test_head_of_a_stream_ends_at_once(
    proxy: ReverseProxy, system: InteropSystem, sse: SseClient, name: str
) -> None:
    await system.upstream.script(name, PAUSED)

    async with sse.ask(f"{proxy.url}/chat", name, model=name) as stream:
        await stream.until("text-delta")
        async with httpx.AsyncClient(verify=False, timeout=60) as client:
            response = await client.head(f"{proxy.url}/chat/{name}/stream")
        assert response.headers["content-type"].startswith("text/event-stream")
        await system.upstream.release(name)
        check_whole(await sse.replay(f"{proxy.url}/chat", name))


async def test_body_within_the_limit_reaches_the_api(client: httpx.AsyncClient) -> None:
    response = await client.post("/chat", json={"padding": "x" * 7_000_000})

    assert response.status_code == 422
    assert response.json()["field"] == "messages"


@pytest.mark.parametrize("size", [8_400_000, 12_000_000], ids=["by the API", "by the proxy"])
async def test_body_above_the_limit_is_refused(client: httpx.AsyncClient, size: int) -> None:
    try:
        response = await client.post("/chat", json={"padding": "x" * size})
    except (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError):
        return  # HTTP/1.1 without buffering: the connection is closed during the upload

    assert response.status_code == 413


async def test_long_token_reaches_the_api(client: httpx.AsyncClient) -> None:
    response = await client.get("/models", headers={"authorization": "Bearer " + "x" * 30_000})

    assert response.status_code == 200


async def test_own_page_may_send_requests(client: httpx.AsyncClient, proxy: ReverseProxy) -> None:
    own = await client.post("/chat/none/stop", headers={"origin": proxy.url})
    foreign = await client.post("/chat/none/stop", headers={"origin": "https://evil.example"})

    assert own.status_code == 404
    assert foreign.status_code == 403
    assert json.loads(foreign.text)["code"] == "forbidden"
