"""`/` is the playground where it is enabled, and a page with links elsewhere."""

import json
import re
from pathlib import Path

import httpx
import pytest

from api.pages import start_page
from shared.api_key import hash_of, new_api_key
from shared.settings import PlaygroundSettings, RedisSettings, Settings
from tests.support.api_client import client_of
from tests.support.processes import Api, Valkey, running
from web.page import PLAYGROUND

pytestmark = pytest.mark.usefixtures("redis")

ENABLED = {"MAMBA_PLAYGROUND__ENABLED": "true"}
KEYED = {
    "MAMBA_AUTH__MODE": "api_key",
    "MAMBA_AUTH__API_KEYS": json.dumps([{"name": "app", "hash": hash_of(new_api_key())}]),
}


def test_production_shows_links_and_serves_no_playground(valkey: Valkey) -> None:
    with running(Api(valkey.url)) as api, httpx.Client(base_url=api.url) as client:
        page = client.get("/")
        links = re.findall(r'href="(\w+)"', page.text)
        followed = [client.get(f"/{link}").status_code for link in links]
        hidden = [client.get(f"/playground/{path}") for path in ("info", "assets/main.js")]
        faults = [
            client.post(f"/playground/{fault}") for fault in ("kill-worker?chat=c", "restart-api")
        ]

    assert links == ["docs", "ops", "health"]
    assert (page.status_code, followed[0]) == (200, 200)
    assert "unsafe" not in page.headers["content-security-policy"]
    assert [response.status_code for response in (*hidden, *faults)] == [404] * 4


def test_enabled_playground_is_served_with_a_strict_policy(valkey: Valkey) -> None:
    PLAYGROUND.build()
    with running(Api(valkey.url, ENABLED)) as api, httpx.Client(base_url=api.url) as client:
        page = client.get("/")
        files = re.findall(r'(?:src|href)="(playground/assets/[\w.-]+)"', page.text)
        loaded = [client.get(f"/{file}") for file in files]
        info = client.get("/playground/info")

    assert {file.rpartition(".")[2] for file in files} == {"js", "css", "svg"}
    assert [response.status_code for response in loaded] == [200] * len(files)
    policy = page.headers["content-security-policy"]
    assert "unsafe" not in policy
    assert policy.endswith("img-src 'self' data: blob:")
    assert info.json()["canBreak"] is False


async def test_playground_without_a_build_shows_instructions(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, valkey: Valkey
) -> None:
    monkeypatch.setattr(start_page, "BUILD_DIR", tmp_path / "none")
    settings = Settings(
        redis=RedisSettings(url=valkey.url), playground=PlaygroundSettings(enabled=True)
    )
    async with client_of(settings) as client:
        page = await client.get("/")

    assert page.status_code == 200
    assert "make playground" in page.text


def test_playground_data_needs_credentials(valkey: Valkey) -> None:
    with (
        running(Api(valkey.url, ENABLED | KEYED)) as api,
        httpx.Client(base_url=api.url) as client,
    ):
        statuses = [client.get(path).status_code for path in ("/", "/playground/info")]

    assert statuses == [200, 401]
