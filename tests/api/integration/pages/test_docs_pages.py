"""The documentation pages show every route in a real browser, using local files only."""

import asyncio
from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import httpx
import pytest

from tests.support.browser import chromium
from tests.support.browser.chromium import ChromiumMissingError, find_chromium
from tests.support.browser.page import loaded_urls, open_browser, rendered_document
from tests.support.browser.window import open_window
from tests.support.processes import Api, Valkey, running

OPERATIONS = ("send_chat", "follow_chat", "stop_chat")


@pytest.fixture(scope="module")
def api(valkey: Valkey) -> Generator[Api]:
    with running(Api(valkey.url)) as process:
        yield process


@pytest.fixture
async def client(api: Api) -> AsyncGenerator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=api.url, timeout=30) as client:
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
        assert file.startswith("docs/static/")
        loaded = await client.get(response.url.join(file))
        assert loaded.status_code == 200
        assert "immutable" in loaded.headers["cache-control"]


@pytest.mark.parametrize("name", ["nothing.js", "../core.py", "%2e%2e%2fcore.py", "__init__.py"])
async def test_other_files_are_not_served(client: httpx.AsyncClient, name: str) -> None:
    assert (await client.get(f"/docs/static/1.7.7/{name}")).status_code == 404


async def test_swagger_sends_requests_below_the_path_prefix(valkey: Valkey) -> None:
    """The proxy keeps the prefix here; tests/interop has proxies that remove it."""
    api = Api(valkey.url, {"MAMBA_SERVER__ROOT_PATH": "/assistant"}).start()
    try:
        await api.ready()
        server = await asyncio.to_thread(_server_url_in_swagger, f"{api.url}/assistant/docs")
        async with httpx.AsyncClient(timeout=30) as client:
            models = await client.get(f"{server}/models")
    finally:
        await api.stop()

    assert server == f"{api.url}/assistant"
    assert models.status_code == 200


REQUEST_URL = """
(({fn, specSelectors}) => fn.buildRequest({
  spec: specSelectors.specJson().toJS(),
  operationId: 'list_models',
  contextUrl: new URL(specSelectors.url(), location).href,
}).url)(ui.getSystem())
"""


def _server_url_in_swagger(url: str) -> str:
    """Return the URL to which the page sends its requests."""
    with open_browser() as browser, open_window(browser) as window:
        window.visit(url)
        window.wait_for_text("Mamba Server")
        built: str = window.evaluate(REQUEST_URL)
        return built.removesuffix("/models")


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
