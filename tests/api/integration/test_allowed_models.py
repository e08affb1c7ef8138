"""The allow-list, as a client of the API meets it."""

from collections.abc import AsyncGenerator
from typing import Any

import httpx
import pytest

from tests.support.processes import Api, Valkey, start_all, stop_all

HI = {"messages": [{"role": "user", "content": "Hi"}]}
SETTINGS = {"MAMBA_MODELS__ALLOWED": '["openai/gpt-4*"]', "MAMBA_OPENAI__MODELS": '["gpt-4", "o3"]'}


@pytest.fixture
async def client(valkey: Valkey) -> AsyncGenerator[httpx.AsyncClient]:
    api = Api(valkey.url, {**SETTINGS, "OPENAI_API_KEY": "k"})
    await start_all(api)
    async with httpx.AsyncClient(base_url=api.url) as client:
        yield client
    await stop_all(api)


@pytest.mark.usefixtures("redis")
async def test_what_may_not_be_named_is_refused_and_not_listed(client: httpx.AsyncClient) -> None:
    bodies: dict[str, Any] = {"/chat": {**HI, "model": "o3"}}
    bodies["/title/generate"] = bodies["/chat"]

    for path, body in bodies.items():
        refused = await client.post(path, json=body)
        assert (refused.status_code, refused.json()["field"]) == (422, "model")
        assert "openai/gpt-4*" in refused.json()["detail"]

    listed = (await client.get("/models")).json()["models"]
    assert [model["id"] for model in listed] == ["openai/gpt-4o", "openai/gpt-4"]
