import httpx
import pytest

from api.app import create_app
from shared.settings import ServerSettings, Settings

ELSEWHERE = "https://chat.example"


@pytest.fixture
def client() -> httpx.AsyncClient:
    settings = Settings(server=ServerSettings(cors_origins=(ELSEWHERE,)))
    transport = httpx.ASGITransport(create_app(settings))
    return httpx.AsyncClient(transport=transport, base_url="http://test")


async def allowed_origin(client: httpx.AsyncClient, origin: str) -> str | None:
    headers = {
        "origin": origin,
        "access-control-request-method": "POST",
        "access-control-request-headers": "content-type,last-event-id",
    }
    async with client:
        response = await client.options("/chat", headers=headers)
    return response.headers.get("access-control-allow-origin")


@pytest.mark.parametrize("origin", ["http://localhost:3000", "http://127.0.0.1:5173", ELSEWHERE])
async def test_local_and_configured_origins_are_allowed(
    client: httpx.AsyncClient, origin: str
) -> None:
    assert await allowed_origin(client, origin) == origin


@pytest.mark.parametrize("origin", ["https://evil.example", "http://localhost.evil.example"])
async def test_other_origins_are_not_allowed(client: httpx.AsyncClient, origin: str) -> None:
    assert await allowed_origin(client, origin) is None
