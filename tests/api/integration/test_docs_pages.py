"""The documentation pages show every route in a real browser, using local files only."""

import asyncio
from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import httpx
import pytest

from api.app import create_app
from shared.settings import Settings
from tests.support.browser import chromium
from tests.support.browser.chromium import ChromiumMissingError, find_chromium
from tests.support.browser.page import loaded_urls, rendered_document
from tests.support.processes import Api, Valkey

OPERATIONS = ("send_chat", "follow_chat", "stop_chat")


@pytest.fixture(scope="module")
def api(valkey: Valkey) -> Generator[Api]:
    process = Api(valkey.url).start()
    asyncio.run(process.ready())
    yield process
    asyncio.run(process.stop())


@pytest.fixture
async def client(api: Api) -> AsyncGenerator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=api.url) as client:
        yield client


@pytest.mark.parametrize(
    ("page", "mark"), [("/docs", "operations-chat-{}"), ("/redoc", "tag/chat/operation/{}")]
)
async def test_browser_shows_every_chat_route(api: Api, page: str, mark: str) -> None:
    marks = [mark.format(operation) for operation in OPERATIONS]
    document = await asyncio.to_thread(rendered_document, f"{api.url}{page}", *marks)

    for expected in (*marks, "Mamba Server"):
        assert expected in document, document[:3000]


@pytest.mark.parametrize("page", ["/docs", "/redoc"])
async def test_page_loads_files_from_this_server_only(client: httpx.AsyncClient, page: str) -> None:
    response = await client.get(page)

    assert response.headers["cache-control"] == "no-cache"
    assert "default-src 'self'" in response.headers["content-security-policy"]
    files = loaded_urls(response.text)
    assert len(files) >= 2
    for file in files:
        assert file.startswith("/docs/static/")
        loaded = await client.get(file)
        assert loaded.status_code == 200
        assert "immutable" in loaded.headers["cache-control"]


@pytest.mark.parametrize("name", ["nothing.js", "../core.py", "%2e%2e%2fcore.py", "__init__.py"])
async def test_other_files_are_not_served(client: httpx.AsyncClient, name: str) -> None:
    assert (await client.get(f"/docs/static/1.7.7/{name}")).status_code == 404


async def test_page_urls_include_the_path_prefix() -> None:
    transport = httpx.ASGITransport(create_app(Settings()), root_path="/assistant")
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as prefixed:
        text = (await prefixed.get("/assistant/docs")).text

    assert "/assistant/openapi.json" in text
    assert all(file.startswith("/assistant/docs/static/") for file in loaded_urls(text))


def test_missing_configured_browser_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAMBA_CHROMIUM", "no-such-browser")

    with pytest.raises(ChromiumMissingError, match="MAMBA_CHROMIUM"):
        find_chromium()


def test_npm_browser_is_used_if_none_is_installed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("MAMBA_CHROMIUM", raising=False)
    monkeypatch.setattr(chromium, "_NAMES", ())
    page = tmp_path / "page.html"
    page.write_text("<body><script>document.body.append(6 * 7)</script></body>")

    assert "42</body>" in rendered_document(page.as_uri(), "42</body>")
