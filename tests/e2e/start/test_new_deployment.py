"""A deployment with the files that `mamba init` writes."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass

import httpx
import pytest
import pytest_asyncio

from tests.support.forked_program import run_mamba
from tests.support.processes import Api, Valkey, Worker, start_all, stop_all
from tests.support.wait import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

BODY = {"agent": "assistant", "messages": [{"role": "user", "content": "Hello"}]}


@dataclass
class NewDeployment:
    url: str
    redis_url: str
    key: str


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def deployment(
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncGenerator[NewDeployment]:
    """An API and a worker that run in the folder of the files."""
    folder = tmp_path_factory.mktemp("deployment")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        printed = (await run_mamba(["init"], {})).out
        [key] = [word for word in printed.split() if word.startswith("mk_") and "'" not in word]
        valkey = Valkey()
        await start_all(valkey)
        api, worker = Api(valkey.url), Worker(valkey.url, "http://model.invalid/v1")
        try:
            await start_all(api, worker)
            await until(lambda: _offers_agent(api, key))
            yield NewDeployment(api.url, valkey.url, key)
        finally:
            await stop_all(api, worker)
            await stop_all(valkey)


async def _offers_agent(api: Api, key: str) -> bool:
    async with httpx.AsyncClient(headers={"x-api-key": key}, timeout=30) as client:
        listed = (await client.get(f"{api.url}/agents")).json()["agents"]
    return "assistant" in [agent["name"] for agent in listed]


async def test_request_without_the_key_is_refused(deployment: NewDeployment) -> None:
    async with httpx.AsyncClient(timeout=30) as client:
        response = await client.post(f"{deployment.url}/chat", json=BODY)

    assert response.status_code == 401


async def test_agent_of_the_file_answers(deployment: NewDeployment) -> None:
    async with httpx.AsyncClient(headers={"x-api-key": deployment.key}, timeout=30) as client:
        response = await client.post(f"{deployment.url}/chat", json=BODY)

    assert response.status_code == 200
    assert "demo" in response.text
    assert response.text.endswith("data: [DONE]\n\n")


@pytest.mark.parametrize("command", ["config", "doctor"])
async def test_written_settings_are_accepted(deployment: NewDeployment, command: str) -> None:
    result = await run_mamba([command, "--json"], {"MAMBA_REDIS__URL": deployment.redis_url})

    assert result.code == 0, result.out + result.error
