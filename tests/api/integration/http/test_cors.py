"""Pages of other origins: preflights, response headers, and the settings that allow them."""

import json
import re
from typing import Any

import httpx
import pytest
from starlette.responses import PlainTextResponse

from api.app import create_app
from api.http.cors import CorsMiddleware
from shared.errors import SettingsError
from shared.settings import ServerSettings, Settings
from shared.settings.live_settings import LiveSettings
from shared.settings.load import load_settings

ELSEWHERE = "https://chat.example"
EVIL = "https://evil.example"


def client_for(*origins: str, **server: Any) -> httpx.AsyncClient:
    settings = Settings(server=ServerSettings(cors_origins=origins, **server))
    transport = httpx.ASGITransport(create_app(settings))
    return httpx.AsyncClient(transport=transport, base_url="http://localhost")


async def preflight(client: httpx.AsyncClient, origin: str, **requested: str) -> httpx.Response:
    names = {
        f"access-control-request-{name.replace('_', '-')}": value
        for name, value in ({"method": "POST"} | requested).items()
    }
    async with client:
        return await client.options("/chat", headers={"origin": origin, **names})


async def is_allowed(origin: str, *setting: str) -> bool:
    """Return whether the browser lets a page of this origin call the API."""
    response = await preflight(client_for(*setting), origin)
    allowed = response.headers.get("access-control-allow-origin")
    assert allowed in (None, origin, "*")
    assert (response.status_code == 200) == (allowed is not None)
    return allowed is not None


@pytest.mark.parametrize(
    "origin",
    [
        *("http://localhost:3000", "http://127.0.0.1:5173", "https://localhost", "http://[::1]:1"),
        *("http://app.localhost:8080", "http://tauri.localhost", ELSEWHERE),
    ],
)
async def test_local_and_configured_origins_are_allowed(origin: str) -> None:
    assert await is_allowed(origin, ELSEWHERE)


@pytest.mark.parametrize(
    "origin",
    [
        *(
            EVIL,
            "null",
            "",
            "*",
            "http://localhost.evil.example",
            "http://localhost:80.evil.example",
        ),
        *("http://evillocalhost", "http://127.0.0.1.evil.example", f"{ELSEWHERE}.evil.example"),
        *(f"{ELSEWHERE}:8443", "http://chat.example", f"{ELSEWHERE}/", "https://a.chat.example"),
    ],
)
async def test_other_origins_are_not_allowed(origin: str) -> None:
    assert not await is_allowed(origin, ELSEWHERE)


@pytest.mark.parametrize(
    ("setting", "origin"),
    [
        ("https://Chat.Example", ELSEWHERE),
        ("https://chat.example/", ELSEWHERE),
        (" https://chat.example:443 ", ELSEWHERE),
        ("http://chat.example:80/", "http://chat.example"),
        ("http://chat.example:443", "http://chat.example:443"),
        ("https://bücher.example", "https://xn--bcher-kva.example"),
        ("https://*.chat.example", "https://a-1.chat.example"),
        ("https://*.chat.example", "https://a.b.chat.example"),
        ("http://10.0.0.7:*", "http://10.0.0.7:5173"),
        ("http://10.0.0.7:*", "http://10.0.0.7"),
        ("http://[FE80::1]:3000", "http://[fe80::1]:3000"),
        ("capacitor://localhost", "capacitor://localhost"),
        ("chrome-extension://ABCDEFabcdef", "chrome-extension://abcdefabcdef"),
        ("null", "null"),
        ("*", EVIL),
        ("*", "null"),
    ],
)
async def test_spellings_of_an_origin_are_accepted(setting: str, origin: str) -> None:
    assert await is_allowed(origin, setting)


@pytest.mark.parametrize(
    ("setting", "origin"),
    [
        ("https://*.chat.example", ELSEWHERE),
        ("https://*.chat.example", "https://a.chat.example.evil.example"),
        ("https://*.chat.example", "https://evilchat.example"),
        ("https://*.chat.example", "https://a/.chat.example"),
        ("https://*.chat.example", "http://a.chat.example"),
        ("http://10.0.0.7:*", "http://10.0.0.70"),
        ("https://chat.example", "https://chatxexample"),
    ],
)
async def test_patterns_allow_nothing_else(setting: str, origin: str) -> None:
    assert not await is_allowed(origin, setting)


@pytest.mark.parametrize(
    ("setting", "advice"),
    [
        ("chat.example", "Write it as https://chat.example.com"),
        ("localhost:3000", "Write it as https://chat.example.com"),
        ("https://chat.example/app", "Write https://chat.example."),
        ("https://Chat.example?x=1", "Write https://chat.example."),
        ("*.chat.example", "An origin needs its scheme"),
        ("https://*", "`*` can replace the subdomains"),
        ("https://chat.*", "`*` can replace the subdomains"),
        ("https://user@chat.example", "This is not an origin"),
        ("https://chat.example:port", "This is not an origin"),
        ("https://bücher..example", "The host name is not valid"),
        ("", "An origin needs its scheme"),
    ],
)
def test_other_settings_are_refused_with_advice(
    setting: str, advice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAMBA_SERVER__CORS_ORIGINS", json.dumps([setting]))

    with pytest.raises(SettingsError, match=re.escape(advice)) as raised:
        load_settings()
    assert "server.cors_origins.0" in str(raised.value)


# Preflights


@pytest.mark.parametrize("path", ["/chat", "/chat/", "/chat/a/stop", "/models", "/nothing"])
async def test_private_network_is_allowed_for_allowed_origins(path: str) -> None:
    headers = {
        "access-control-request-method": "POST",
        "access-control-request-private-network": "true",
    }
    async with client_for(ELSEWHERE) as client:
        allowed = await client.options(path, headers={**headers, "origin": ELSEWHERE})
        refused = await client.options(path, headers={**headers, "origin": EVIL})

    assert allowed.status_code == 200
    assert allowed.headers["access-control-allow-private-network"] == "true"
    assert refused.status_code == 400
    assert "access-control-allow-private-network" not in refused.headers
    assert "access-control-allow-origin" not in refused.headers


@pytest.mark.parametrize(
    "names",
    [
        "content-type",
        "Content-Type, Authorization,X-API-Key , Last-Event-ID",
        "idempotency-key,traceparent,x-request-id,user-agent,x-anything",
    ],
)
async def test_preflight_allows_every_header(names: str) -> None:
    response = await preflight(client_for(ELSEWHERE), ELSEWHERE, headers=names)

    assert response.status_code == 200
    assert response.headers["access-control-allow-headers"] == names
    assert response.headers["access-control-max-age"] == "7200"
    assert "Access-Control-Request-Headers" in response.headers["vary"]


@pytest.mark.parametrize(
    ("method", "status"), [("GET", 200), ("HEAD", 200), ("DELETE", 200), ("PUT", 400)]
)
async def test_preflight_allows_the_methods_of_the_api(method: str, status: int) -> None:
    response = await preflight(client_for(ELSEWHERE), ELSEWHERE, method=method)

    assert response.status_code == status


async def test_responses_expose_the_headers_that_clients_read() -> None:
    async with client_for(ELSEWHERE) as client:
        response = await client.get("/health/live", headers={"origin": ELSEWHERE})

    exposed = set(response.headers["access-control-expose-headers"].split(", "))
    assert exposed >= {"x-chat-id", "x-run-id", "x-request-id", "retry-after", "www-authenticate"}
    assert response.headers["access-control-allow-origin"] == ELSEWHERE
    assert response.headers["vary"] == "Origin"


# Credentials


@pytest.mark.parametrize("credentials", [True, False])
async def test_credentials_are_allowed_only_by_the_setting(*, credentials: bool) -> None:
    expected = "true" if credentials else None
    async with client_for(ELSEWHERE, cors_credentials=credentials) as client:
        response = await client.get("/health/live", headers={"origin": ELSEWHERE})
        foreign = await client.get("/health/live", headers={"origin": EVIL})
    asked = await preflight(client_for(ELSEWHERE, cors_credentials=credentials), ELSEWHERE)

    assert response.headers.get("access-control-allow-credentials") == expected
    assert asked.headers.get("access-control-allow-credentials") == expected
    assert response.headers["access-control-allow-origin"] == ELSEWHERE
    assert "access-control-allow-origin" not in foreign.headers


@pytest.mark.parametrize("origin", ["*", "null"])
def test_credentials_for_every_page_are_refused(
    origin: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAMBA_SERVER__CORS_CREDENTIALS", "true")
    monkeypatch.setenv("MAMBA_SERVER__CORS_ORIGINS", f'["{origin}"]')

    with pytest.raises(SettingsError, match="List the origins"):
        load_settings()


async def test_changed_origins_apply_without_a_restart() -> None:
    live = LiveSettings(Settings(server=ServerSettings(cors_origins=(ELSEWHERE,))))
    app = CorsMiddleware(PlainTextResponse("ok"), live)
    transport = httpx.ASGITransport(app)
    preflight_headers = {"origin": EVIL, "access-control-request-method": "POST"}

    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        before = await client.options("/chat", headers=preflight_headers)
        live.replace(Settings(server=ServerSettings(cors_origins=(EVIL,), cors_credentials=True)))
        after = await client.options("/chat", headers=preflight_headers)
        no_longer = await client.get("/chat", headers={"origin": ELSEWHERE})

    assert before.status_code == 400
    assert after.headers["access-control-allow-origin"] == EVIL
    assert after.headers["access-control-allow-credentials"] == "true"
    assert "access-control-allow-origin" not in no_longer.headers
