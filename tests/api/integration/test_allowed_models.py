"""The model allow-list applies to requests and to the list of models."""

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
    async with httpx.AsyncClient(base_url=api.url, timeout=30) as client:
        yield client
    await stop_all(api)


@pytest.mark.usefixtures("redis")
async def test_model_outside_the_allow_list_is_rejected_and_not_listed(
    client: httpx.AsyncClient,
) -> None:
    bodies: dict[str, Any] = {"/chat": {**HI, "model": "o3"}}
    bodies["/title/generate"] = bodies["/chat"]

    for path, body in bodies.items():
        rejected = await client.post(path, json=body)
        assert (rejected.status_code, rejected.json()["field"]) == (422, "model")
        assert "openai/gpt-4*" in rejected.json()["detail"]

    listed = (await client.get("/models")).json()["models"]
    assert [model["id"] for model in listed] == ["openai/gpt-4o", "openai/gpt-4"]
