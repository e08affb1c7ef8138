"""OpenAI's SDKs at `/chat/completions` get an error that says what the endpoint is."""

from collections.abc import AsyncGenerator
from typing import Any

import httpx
import openai
import pytest

from tests.support.processes import Api, Valkey, start_all, stop_all

HI: list[Any] = [{"role": "user", "content": "Hi"}]


@pytest.fixture
async def api(valkey: Valkey) -> AsyncGenerator[Api]:
    api = Api(valkey.url)
    await start_all(api)
    yield api
    await stop_all(api)


@pytest.mark.parametrize("stream", [True, False])
async def test_openai_sdk_raises_a_readable_error(api: Api, stream: bool) -> None:  # noqa: FBT001
    async with openai.AsyncOpenAI(base_url=api.url, api_key="k", max_retries=0) as client:
        with pytest.raises(openai.UnprocessableEntityError) as caught:
            await client.chat.completions.create(model="gpt-4o", messages=HI, stream=stream)

    assert "does not implement OpenAI's API" in str(caught.value)
    assert caught.value.code == "not_openai_compatible"


async def test_body_of_openai_without_its_sdk_is_refused(api: Api) -> None:
    async with httpx.AsyncClient(base_url=api.url, timeout=30) as client:
        body = {"model": "gpt-4o", "messages": HI, "stream": True}
        response = await client.post("/chat/completions", json=body)

    problem = response.json()
    assert (response.status_code, problem["code"]) == (422, "not_openai_compatible")
    assert problem["error"]["message"] == problem["detail"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/chat/completions", {"messages": HI}),
        ("/chat/completions", {"messages": HI, "model": "gpt-4o"}),
        ("/chat/completions", {"messages": HI, "stream": True}),
        ("/chat/completions", {"messages": HI, "model": "m", "stream": True, "id": "chat"}),
        ("/chat", {"messages": HI, "model": "gpt-4o", "stream": True}),
    ],
)
async def test_requests_of_other_clients_are_answered(
    api: Api, path: str, body: dict[str, Any]
) -> None:
    async with (
        httpx.AsyncClient(base_url=api.url, timeout=30) as client,
        client.stream("POST", path, json=body) as response,
    ):
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
