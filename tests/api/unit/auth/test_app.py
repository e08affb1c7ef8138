"""Authentication in the application: public routes, error responses, logs, and request bodies."""

import json
from collections.abc import AsyncIterator
from typing import Annotated, Any

import httpx
import pytest
from fastapi import Depends, FastAPI
from pydantic import SecretStr
from structlog.testing import capture_logs

from api.app import create_app
from shared.api_key import new_api_key
from shared.settings import ApiKeySettings, AuthSettings, JwtSettings, Settings
from tests.support.auth.credentials import SECRET, secret_token, valid_claims
from tests.support.auth.small_app import client_for, small_app

USER_KEY, OPERATOR_KEY = new_api_key(), new_api_key()
KEYED = Settings(
    auth=AuthSettings(
        mode="api_key",
        api_keys=(
            ApiKeySettings(name="plain", key=SecretStr(USER_KEY)),
            ApiKeySettings(name="ops", key=SecretStr(OPERATOR_KEY), scopes=("operator",)),
        ),
    )
)
TOKENS = Settings(
    auth=AuthSettings(mode="jwt", jwt=JwtSettings(algorithms=("HS256",), secret=SecretStr(SECRET)))
)
EXPIRED_TOKEN = secret_token(valid_claims(exp=1))


def models_app(settings: Settings) -> FastAPI:
    """An app with all middleware, and one route that accepts any body."""
    app = FastAPI(middleware=list(create_app(settings).user_middleware))

    @app.post("/models")
    async def models(body: Annotated[dict[str, int], Depends(lambda: {"a": 1})]) -> int:
        return body["a"]

    _ = models
    return app


async def get(settings: Settings, path: str, **headers: str) -> httpx.Response:
    http_headers = {name.replace("_", "-"): value for name, value in headers.items()}
    async with client_for(small_app(settings)) as client:
        return await client.get(path, headers=http_headers)


async def test_route_receives_the_principal() -> None:
    response = await get(KEYED, "/me", x_api_key=USER_KEY)

    assert response.json() == "api_key::plain"


async def test_route_with_a_scope_rejects_other_keys() -> None:
    assert (await get(KEYED, "/all", x_api_key=OPERATOR_KEY)).status_code == 200
    assert (await get(Settings(), "/all")).status_code == 200
    refused = await get(KEYED, "/all", x_api_key=USER_KEY)

    assert refused.status_code == 403
    assert refused.json()["code"] == "forbidden"
    assert "'operator'" in refused.json()["detail"]
    challenge = refused.headers["www-authenticate"]
    assert challenge == 'Bearer realm="mamba", error="insufficient_scope", scope="operator"'


async def test_missing_credentials_return_401_without_error_code() -> None:
    response = await get(KEYED, "/me")

    assert response.status_code == 401
    assert response.headers["www-authenticate"] == 'Bearer realm="mamba"'
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert (problem["code"], problem["title"]) == ("unauthenticated", "Not authenticated")
    assert problem["request_id"] == response.headers["x-request-id"]


async def test_invalid_token_returns_401_with_the_reason() -> None:
    token = secret_token(valid_claims(exp=1))

    response = await get(TOKENS, "/me", authorization=f"Bearer {token}")

    assert response.json()["detail"] == "The token has expired."
    expected = (
        'Bearer realm="mamba", error="invalid_token", error_description="The token has expired."'
    )
    assert response.headers["www-authenticate"] == expected


async def test_challenge_replaces_forbidden_characters() -> None:
    claim = 'a"\\\r\nx: é'
    settings = JwtSettings(algorithms=("HS256",), secret=SecretStr(SECRET), owner_claim=claim)
    auth = AuthSettings(mode="jwt", jwt=settings)

    response = await get(Settings(auth=auth), "/me", authorization=f"Bearer {secret_token()}")

    assert response.status_code == 401
    assert response.headers["www-authenticate"].count('"') == 6


@pytest.mark.parametrize(
    ("settings", "path", "headers", "reason"),
    [
        (KEYED, "/me", {}, "missing"),
        (KEYED, "/me", {"x_api_key": "mk_unknown-secret"}, "unknown_key"),
        (TOKENS, "/me", {"authorization": f"Bearer {EXPIRED_TOKEN}"}, "expired"),
        (KEYED, "/all", {"x_api_key": USER_KEY}, "scope"),
    ],
)
async def test_rejection_is_logged_without_the_credential(
    settings: Settings, path: str, headers: dict[str, str], reason: str
) -> None:
    with capture_logs() as logs:
        await get(settings, path, **headers)

    [line] = [line for line in logs if line["event"] == "auth.refused"]
    assert line["reason"] == reason
    assert not any(value.split()[-1] in json.dumps(logs) for value in headers.values())


@pytest.mark.parametrize("settings", [Settings(), KEYED], ids=["none", "api_key"])
@pytest.mark.parametrize("path", ["/me", "/health"])
async def test_request_with_several_hosts_returns_400(settings: Settings, path: str) -> None:
    hosts = [("host", "localhost"), ("host", "evil.example"), ("x-api-key", USER_KEY)]
    async with client_for(small_app(settings)) as client:
        response = await client.get(path, headers=hosts)

    assert (response.status_code, response.json()["code"]) == (400, "bad_request")
    assert "Host" in response.json()["detail"]


# The complete application


REFUSED = {
    "/ops/overview": ({"x-api-key": USER_KEY}, "scope"),
    "/ops/stream": ({"x-api-key": OPERATOR_KEY, "sec-fetch-site": "cross-site"}, "foreign_page"),
}


@pytest.mark.parametrize(("path", "case"), REFUSED.items(), ids=REFUSED)
async def test_refusal_of_an_operator_route_is_logged(
    path: str, case: tuple[dict[str, str], str]
) -> None:
    headers, reason = case
    with capture_logs() as logs:
        async with client_for(create_app(KEYED)) as client:
            response = await client.get(path, headers=headers)

    assert response.status_code == 403
    assert [line["reason"] for line in logs if line["event"] == "auth.refused"] == [reason]


PUBLIC = ["/docs", "/redoc", "/openapi.json", "/health/live"]
PROTECTED = [
    *("/models", "/chat/x/stream", "/chat/health/stream", "/chat/..%2F..%2Fhealth/stream"),
    *(
        "/playground/info",
        "/nothing",
        "/healthy",
        "/docsx",
        "/Docs",
        "/openapi.jsonx",
        "/health%00",
    ),
]


@pytest.mark.parametrize("settings", [KEYED, TOKENS], ids=["api_key", "jwt"])
async def test_only_docs_and_health_are_public(settings: Settings) -> None:
    async with client_for(create_app(settings)) as client:
        public = [(await client.get(path)).status_code for path in PUBLIC]
        protected = [(await client.get(path)).status_code for path in PROTECTED]

    assert public == [200] * len(PUBLIC)
    assert protected == [401] * len(PROTECTED)


async def test_preflight_needs_no_key_and_401_has_cors_headers() -> None:
    origin = {"origin": "http://localhost:3000"}
    requested = {
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,x-api-key,content-type",
    }
    async with client_for(create_app(KEYED)) as client:
        preflight = await client.options("/chat", headers={**origin, **requested})
        refused = await client.get("/models", headers=origin)
        options = await client.options("/models")

    assert preflight.status_code == 200
    assert "x-api-key" in preflight.headers["access-control-allow-headers"]
    assert refused.status_code == 401
    assert refused.headers["access-control-allow-origin"] == origin["origin"]
    assert options.status_code == 401


async def test_public_paths_are_the_same_below_a_root_path() -> None:
    transport = httpx.ASGITransport(create_app(KEYED), root_path="/v1")
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        assert (await client.get("/v1/health/live")).status_code == 200
        assert (await client.get("/v1/models")).status_code == 401


def test_document_lists_security_of_protected_routes() -> None:
    schema: dict[str, Any] = create_app(KEYED).openapi()

    assert set(schema["components"]["securitySchemes"]) == {"bearer", "apiKey", "streamToken"}
    for path, operations in schema["paths"].items():
        for operation in operations.values():
            protected = not path.startswith("/health")
            assert ("security" in operation) == protected
            assert ({"401", "403"} <= operation["responses"].keys()) == protected
    assert schema["paths"]["/chat"]["post"]["responses"].keys() >= {"200", "401", "403", "415"}


def test_document_lists_stream_tokens_for_streams_only() -> None:
    schema: dict[str, Any] = create_app(KEYED).openapi()

    accepting = {
        (method, path)
        for path, operations in schema["paths"].items()
        for method, operation in operations.items()
        if {"streamToken": []} in operation.get("security", [])
    }

    prefixes = ("/chat/{chat_id}", "/chat/completions/{chat_id}")
    streams = ("stream", "events")
    assert accepting == {("get", f"{prefix}/{name}") for prefix in prefixes for name in streams}


# Bodies


@pytest.mark.parametrize(
    "media_type",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "json"],
)
async def test_body_of_another_media_type_returns_415(media_type: str) -> None:
    async with client_for(create_app(Settings())) as client:
        response = await client.post("/chat", content=b"{}", headers={"content-type": media_type})

    assert response.status_code == 415
    assert response.json()["code"] == "unsupported_media_type"
    assert "content-type: application/json" in response.json()["detail"]


async def test_compressed_body_returns_415() -> None:
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    async with client_for(create_app(Settings())) as client:
        response = await client.post("/chat", content=b"\x1f\x8b", headers=headers)

    assert response.status_code == 415
    assert "without `content-encoding`" in response.json()["detail"]


async def test_chunked_body_of_another_media_type_returns_415() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"{}"

    headers = {"content-type": "text/plain"}
    async with client_for(create_app(Settings())) as client:
        assert (await client.post("/chat", content=chunks(), headers=headers)).status_code == 415


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"origin": "http://localhost:3000"}, 200),
        ({"origin": "http://localhost"}, 200),
        ({"sec-fetch-site": "same-origin"}, 200),
        ({"origin": "https://a.test"}, 415),
        ({"origin": "null"}, 415),
        ({"sec-fetch-site": "cross-site"}, 415),
    ],
)
async def test_page_of_another_site_must_declare_json(headers: dict[str, str], status: int) -> None:
    app = models_app(KEYED)
    async with client_for(app) as client:
        response = await client.post(
            "/models", content=b"{}", headers={"x-api-key": USER_KEY, **headers}
        )

    assert response.status_code == status


@pytest.mark.parametrize(
    "media_type", ["application/json", "Application/JSON; charset=utf-8", "application/x.y+json"]
)
async def test_json_media_types_are_accepted(media_type: str) -> None:
    async with client_for(models_app(Settings())) as client:
        response = await client.post("/models", content=b"{}", headers={"content-type": media_type})

    assert response.status_code == 200
