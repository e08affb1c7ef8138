"""The web tools of agents, with a stub search provider and pages of a local server."""

import json
import socket
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from pydantic import SecretStr
from pydantic_ai import Agent, _ssrf
from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    ModelResponse,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
)
from pydantic_ai.models.function import AgentInfo, FunctionModel

from shared.settings import ResearchSettings
from shared.streams.events import SourceUrl
from tests.support.fakes.pages import Pages
from worker.tools.web import web_tools

KEY = "tvly-very-secret"
FOUND = {
    "results": [
        {"url": "https://a.example/1", "title": "One", "content": "The first.", "score": 0.9},
        {"url": "https://a.example/2", "title": "Two", "content": "The second.", "score": 0.5},
    ]
}
EXCERPTS = [
    {"url": "https://a.example/1", "title": "One", "excerpt": "The first."},
    {"url": "https://a.example/2", "title": "Two", "excerpt": "The second."},
]
PAGE = b"<html><head><title>Snakes</title></head><body><h1>Mamba</h1><p>Fast.</p></body></html>"


@pytest.fixture
async def pages() -> AsyncGenerator[Pages]:
    async with Pages({"/page": ("text/html", PAGE), "/search": _json(FOUND)}) as pages:
        yield pages


def _json(body: Any, status: str = "200 OK") -> tuple[str, bytes]:
    return f"{status} application/json", json.dumps(body).encode()


def tavily(pages: Pages, **more: Any) -> ResearchSettings:
    return ResearchSettings(
        web_search="tavily", tavily_api_key=SecretStr(KEY), tavily_base_url=pages.url, **more
    )


def reading(*, private_addresses: bool = True, **more: Any) -> ResearchSettings:
    return ResearchSettings(fetch_pages=True, private_addresses=private_addresses, **more)


def markdown(result: ToolReturnPart) -> str:
    """The content of a fetched page."""
    page: Any = result.content
    return page["content"]


async def call(settings: ResearchSettings, name: str, **arguments: Any) -> ToolReturnPart:
    """Return the result of one tool call by a model."""

    def answer(messages: list[ModelMessage], _: AgentInfo) -> ModelResponse:
        done = len(messages) > 1
        return ModelResponse([TextPart("ok") if done else ToolCallPart(name, arguments)])

    run = await Agent(FunctionModel(answer), tools=web_tools(settings)).run("go")
    [result] = [
        part
        for message in run.all_messages()
        if isinstance(message, ModelRequest)
        for part in message.parts
        if isinstance(part, ToolReturnPart)
    ]
    return result


def names(settings: ResearchSettings) -> list[str]:
    return [tool.name for tool in web_tools(settings)]


async def test_settings_select_the_web_tools(pages: Pages) -> None:
    assert names(ResearchSettings()) == []
    assert names(ResearchSettings(web_search="duckduckgo")) == ["search_web"]
    assert names(reading()) == ["fetch_page"]
    assert names(tavily(pages, fetch_pages=True)) == ["search_web", "fetch_page"]


async def test_search_returns_and_cites_excerpts(pages: Pages) -> None:
    result = await call(tavily(pages), "search_web", query="snakes")

    assert result.content == EXCERPTS
    assert result.metadata == [
        SourceUrl(source_id=page["url"], url=page["url"], title=page["title"]) for page in EXCERPTS
    ]
    assert pages.requested_paths == ["/search"]
    assert json.loads(pages.bodies[0])["query"] == "snakes"


async def test_only_fetched_pages_are_cited_if_fetching_is_enabled(pages: Pages) -> None:
    settings = tavily(pages, fetch_pages=True, private_addresses=True)

    searched = await call(settings, "search_web", query="snakes")
    read = await call(settings, "fetch_page", url=f"{pages.url}/page")

    assert searched.metadata == []
    url = f"{pages.url}/page"
    assert read.metadata == [SourceUrl(source_id=url, url=url, title="Snakes")]
    assert "Fast." in markdown(read)
    assert "<p>" not in markdown(read)


@pytest.mark.parametrize(
    "status", ["400 Bad", "401 No", "403 No", "429 Wait", "432 Plan", "500 Oh"]
)
async def test_failed_search_error_omits_the_api_key(pages: Pages, status: str) -> None:
    pages.pages["/search"] = _json({"detail": {"error": f"the key {KEY} is bad"}}, status)

    result = await call(tavily(pages), "search_web", query="snakes")

    assert result.outcome == "retried"
    assert "The search failed" in str(result.content)
    assert KEY not in str(result)


@pytest.mark.parametrize("body", [b"<html>", b'{"results": [{"title": "One"}]}'])
async def test_invalid_search_response_fails_the_search(pages: Pages, body: bytes) -> None:
    pages.pages["/search"] = ("application/json", body)

    result = await call(tavily(pages), "search_web", query="snakes")

    assert (result.outcome, "The search failed" in str(result.content)) == ("retried", True)


async def test_large_search_results_are_bounded(pages: Pages) -> None:
    large = {"url": "https://a.example/", "title": "t" * 99_999, "content": "c" * 99_999}
    unusable: Any = {"title": "no URL", "content": ""}
    results = {"results": [{**row, "score": 0.5} for row in (large, {**unusable, "url": ""})]}
    pages.pages["/search"] = _json(results)

    found: Any = (await call(tavily(pages), "search_web", query="snakes")).content

    [page] = found
    assert (page["title"], page["excerpt"]) == ("t" * 300 + " …", "c" * 2000 + " …")


async def test_unreachable_search_provider_fails_the_search() -> None:
    async with Pages({}) as gone:
        settings = tavily(gone)

    result = await call(settings, "search_web", query="snakes")

    assert result.outcome == "retried"
    assert "The search failed" in str(result.content)


REFUSED = [
    "http://127.0.0.1:{port}/page",
    "http://[::1]:{port}/page",
    "http://[::ffff:127.0.0.1]:{port}/page",
    "http://2130706433:{port}/page",
    "http://localhost:{port}/page",
    "http://169.254.169.254/latest/meta-data/",
    "http://10.1.2.3/",
    "http://rebound.example:{port}/page",
    "file:///etc/passwd",
    "ftp://127.0.0.1/page",
    "nonsense",
]


@pytest.fixture
def rebound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Resolve the hostname `rebound.example` to this machine."""
    real = socket.getaddrinfo

    def resolve(host: str, *args: Any, **options: Any) -> Any:
        return real("127.0.0.1" if host == "rebound.example" else host, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)


@pytest.mark.usefixtures("rebound")
@pytest.mark.parametrize("url", REFUSED)
async def test_private_address_is_refused_without_a_request(pages: Pages, url: str) -> None:
    settings = reading(private_addresses=False)

    result = await call(settings, "fetch_page", url=url.format(port=pages.port))

    assert result.outcome == "retried"
    assert not pages.requested_paths


async def test_redirect_to_cloud_metadata_is_refused(pages: Pages) -> None:
    """Cloud metadata is refused even if private addresses are allowed."""
    pages.pages["/away"] = ("location", b"http://169.254.169.254/latest/meta-data/")

    result = await call(reading(), "fetch_page", url=f"{pages.url}/away")

    assert result.outcome == "retried"
    assert pages.requested_paths == ["/away"]


async def test_redirect_to_private_address_is_refused(
    pages: Pages, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Pages({"/away": ("location", f"{pages.url}/page".encode())}) as public:
        seen: list[str] = []

        def is_private(address: str) -> bool:
            """Treat only the first address as public."""
            seen.append(address)
            return len(seen) > 1

        monkeypatch.setattr(_ssrf, "is_private_ip", is_private)
        url = f"{public.url}/away"
        result = await call(reading(private_addresses=False), "fetch_page", url=url)

    assert result.outcome == "retried"
    assert public.requested_paths == ["/away"]
    assert not pages.requested_paths


async def test_only_allowed_hosts_are_fetched(pages: Pages) -> None:
    allowed = reading(allowed_domains=("a.example",))
    blocked = reading(blocked_domains=("127.0.0.1",))

    for settings in (allowed, blocked):
        result = await call(settings, "fetch_page", url=f"{pages.url}/page")
        assert result.outcome == "retried"
    assert not pages.requested_paths


async def test_non_text_page_error_reaches_the_model(pages: Pages) -> None:
    pages.pages["/image"] = ("image/png", b"\x89PNG")

    for path, error in {"image": "not a text page", "none": "404"}.items():
        result = await call(reading(), "fetch_page", url=f"{pages.url}/{path}")
        assert result.outcome == "retried"
        assert error in str(result.content)


async def test_long_page_is_truncated(pages: Pages) -> None:
    pages.pages["/long"] = ("text/plain", b"word " * 20_000)

    result = await call(reading(), "fetch_page", url=f"{pages.url}/long")

    assert len(markdown(result)) < 21_000
