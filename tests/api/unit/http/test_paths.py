"""Spellings of paths that reach the same route, and HEAD on every GET route."""

from urllib.parse import unquote

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Message, Receive, Scope, Send

from api.app import create_app
from api.http.head_requests import HeadMiddleware
from api.http.paths import PathMiddleware
from shared.settings import ServerSettings, Settings


async def routed(path: str, prefix: str = "") -> str:
    """Return the path that the application receives."""
    received: list[Scope] = []

    async def app(scope: Scope, _: Receive, __: Send) -> None:
        received.append(scope)

    scope: Scope = {"type": "http", "path": unquote(path), "raw_path": path.encode()}
    await PathMiddleware(app, prefix)(scope, no_message, ignore)
    assert received[0]["path"] == unquote(received[0]["raw_path"].decode())
    return received[0]["raw_path"].decode()


async def no_message() -> Message:
    raise AssertionError("nothing is received")


async def ignore(_: Message) -> None:
    pass


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", "/"),
        ("//", "/"),
        ("/chat/", "/chat"),
        ("//chat", "/chat"),
        ("/chat//", "/chat"),
        ("///title//generate///", "/title/generate"),
        ("/health/", "/health"),
        ("/chat/a/stream/", "/chat/a/stream"),
        ("/chat//a/stream", "/chat/a/stream"),
        ("//chat/a//stop", "/chat/a/stop"),
        ("/chat/a//message", "/chat/a/message"),
        ("/chat/a//events", "/chat/a/events"),
        ("/chat/a//stream-token/", "/chat/a/stream-token"),
        ("/chat/a//messages//m/", "/chat/a/messages/m"),
        ("/chat/completions/", "/chat/completions"),
        ("/chat/completions//a/stream", "/chat/completions/a/stream"),
        ("/docs/", "/docs/"),
        ("//docs//", "/docs/"),
        ("/docs/static/1/x.js", "/docs/static/1/x.js"),
    ],
)
async def test_superfluous_slashes_are_removed(path: str, expected: str) -> None:
    assert await routed(path) == expected


@pytest.mark.parametrize(
    "path",
    [
        "/chat/%2Fa/stream",
        "/chat/a%2F/stream",
        "/chat/%2F%2F/stop",
        "/chat/https://a.example//b/stream",
        "/chat/%20/stream",
        "/chat/stream/stream",
    ],
)
async def test_slashes_of_chat_ids_are_kept(path: str) -> None:
    assert await routed(path) == path


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/chat/a", "/chat/a"),
        ("//chat//a/", "/chat/a"),
        ("/chat/https://a.example//b", "/chat/https://a.example//b"),
        ("/chat//completions//a", "/chat/completions/a"),
        ("/chat//completions/", "/chat/completions"),
    ],
)
async def test_slashes_of_an_erased_chat_id_are_kept(path: str, expected: str) -> None:
    assert await routed(path) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/mamba/chat", "/chat"),
        ("/mamba/chat/", "/chat"),
        ("/mamba", "/"),
        ("/mamba/", "/"),
        ("/chat", "/chat"),
        ("/mambachat", "/mambachat"),
        ("/mamba/mamba/chat", "/mamba/chat"),
    ],
)
async def test_prefix_is_removed(path: str, expected: str) -> None:
    assert await routed(path, "/mamba") == expected


@pytest.mark.parametrize("setting", ["/a/b", "a/b", "/a/b/", "//a//b"])
def test_slashes_of_the_root_path_setting_are_normalized(setting: str) -> None:
    assert ServerSettings(root_path=setting).root_path == "/a/b"


@pytest.mark.parametrize("setting", ["https://chat.example/mamba", "/a b", "/a?b", "/%61"])
def test_root_path_that_is_not_a_path_is_refused(setting: str) -> None:
    with pytest.raises(ValueError, match="Write only the path, such as /mamba"):
        ServerSettings(root_path=setting)


@given(st.text(st.sampled_from("/chatstrem%2Fop.?;:"), max_size=40), st.sampled_from(["", "/chat"]))
async def test_canonical_path_stays_the_same(path: str, prefix: str) -> None:
    once = await routed(f"/{path}", prefix)

    assert once.startswith("/")
    assert await routed(once) == once


# The complete application


@pytest.fixture
def client() -> httpx.AsyncClient:
    settings = Settings(server=ServerSettings(root_path="/mamba"))
    transport = httpx.ASGITransport(create_app(settings))
    return httpx.AsyncClient(transport=transport, base_url="https://localhost")


@pytest.mark.parametrize("path", ["/health/live/", "//health/live", "/mamba/health/live/"])
async def test_route_responds_without_redirect(client: httpx.AsyncClient, path: str) -> None:
    async with client:
        assert (await client.get(f"https://localhost{path}")).status_code == 200


@pytest.mark.parametrize("page", ["docs", "redoc", "ops"])
async def test_redirect_of_a_page_names_no_host(client: httpx.AsyncClient, page: str) -> None:
    async with client:
        for path in (f"/{page}/", f"//{page}//", f"/mamba/{page}/"):
            response = await client.get(
                f"https://localhost{path}", headers={"host": "evil.example"}
            )
            assert response.status_code == 308
            assert response.headers["location"] == f"../{page}"


# HEAD


@pytest.mark.parametrize("path", ["/health/live", "/docs", "/redoc", "/openapi.json"])
async def test_head_has_the_headers_of_get(client: httpx.AsyncClient, path: str) -> None:
    async with client:
        got, head = await client.get(path), await client.head(path)

    assert (head.status_code, head.content) == (got.status_code, b"")
    for name in ("content-type", "content-length", "cache-control"):
        assert head.headers.get(name) == got.headers.get(name)


@pytest.mark.parametrize("path", ["/chat", "/title/generate", "/chat/a/stop"])
async def test_head_of_a_post_route_returns_405(client: httpx.AsyncClient, path: str) -> None:
    async with client:
        assert (await client.head(path)).status_code == 405


async def test_head_ends_a_stream_after_its_headers() -> None:
    sent: list[Message] = []

    async def stream(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["method"] == "GET"
        scope["route"] = "the route"
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while (await receive())["type"] != "http.disconnect":
            raise AssertionError("the stream does not end")
        await send({"type": "http.response.body", "body": b"data", "more_body": True})

    async def record(message: Message) -> None:
        sent.append(message)

    scope: Scope = {"type": "http", "method": "HEAD"}
    await HeadMiddleware(stream)(scope, no_message, record)

    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    assert sent[1] == {"type": "http.response.body", "body": b""}
    assert (scope["method"], scope["route"]) == ("HEAD", "the route")
