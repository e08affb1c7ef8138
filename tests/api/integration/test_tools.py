"""`GET /tools` of a real API process: alone, and with what workers have told it."""

import asyncio
from collections.abc import AsyncGenerator, Generator
from pathlib import Path
from typing import Any

import httpx
import pytest
from jsonschema_rs import Draft202012Validator, meta

from shared.agents.card import AgentCard
from shared.agents.catalog import AgentCatalog
from shared.agents.tools import DISPLAY_TOOL_NAMES, ToolCard
from shared.redis.client import Redis
from tests.support.processes import Api, Valkey
from tests.support.wait import until

Json = dict[str, Any]

FILE = "agents: [{name: poet, instructions: Rhyme., tools: [generateCard, search_notes]}]"


@pytest.fixture(scope="module")
def api(valkey: Valkey, tmp_path_factory: pytest.TempPathFactory) -> Generator[Api]:
    file: Path = tmp_path_factory.mktemp("agents") / "agents.yaml"
    file.write_text(FILE)
    process = Api(valkey.url, {"MAMBA_AGENTS__FILE": str(file)}).start()
    asyncio.run(process.ready())
    yield process
    asyncio.run(process.stop())


@pytest.fixture
async def http(api: Api, redis: Redis) -> AsyncGenerator[httpx.AsyncClient]:  # noqa: ARG001
    async with httpx.AsyncClient(base_url=api.url) as client:
        yield client


def card(agent: str, schema: Json, *, description: str = "Searches.") -> AgentCard:
    tool = ToolCard(
        name="search", description=description, input_schema=schema, output_schema={"type": "null"}
    )
    return AgentCard(name=agent, tools=("search",), own_tools=(tool,))


BY_WORDS = {"type": "object", "properties": {"words": {"type": "string"}}}
BY_ID = {"type": "object", "properties": {"id": {"type": "integer"}}}


async def published(redis: Redis, http: httpx.AsyncClient, *cards: AgentCard) -> list[Json]:
    """The list, once the API has heard of these agents."""
    await AgentCatalog(redis, live_ttl=60).publish(cards)

    async def probe() -> list[Json] | None:
        listed = (await http.get("/tools")).json()["tools"]
        known = {agent for tool in listed for agent in tool["agents"]}
        return listed if known >= {card.name for card in cards} else None

    listed = await until(probe)
    assert listed is not None
    return listed


async def test_the_display_tools_are_told_without_any_worker(http: httpx.AsyncClient) -> None:
    listed = (await http.get("/tools")).json()["tools"]

    display = [tool for tool in listed if tool["kind"] == "display"]
    assert [tool["name"] for tool in display] == list(DISPLAY_TOOL_NAMES)
    assert [tool["agents"] for tool in display] == [["chat"]] * 3 + [["chat", "poet"]]
    assert all(tool["description"] for tool in display)


@pytest.mark.parametrize("name", DISPLAY_TOOL_NAMES)
async def test_a_display_tool_has_schemas_that_types_can_be_made_of(
    http: httpx.AsyncClient, name: str
) -> None:
    tool = (await http.get(f"/tools/{name}")).json()

    for side in ("input", "output"):
        schema = tool[f"{side}_schema"]
        assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
        assert schema["$id"] == f"urn:mamba:tool:{name}:{side}"
        assert schema["title"] == f"{name[0].upper()}{name[1:]}{side.capitalize()}"
        meta.validate(schema)
        Draft202012Validator(schema).validate(tool["example"])


async def test_a_tool_of_an_agent_no_worker_has_told_of_is_known_by_name(
    http: httpx.AsyncClient,
) -> None:
    tool = (await http.get("/tools/search_notes")).json()

    assert (tool["kind"], tool["agents"]) == ("server", ["research", "poet"])
    assert (tool["input_schema"], tool["output_schema"], tool["example"]) == (None, None, None)


async def test_what_workers_tell_of_their_tools_is_told_on(
    http: httpx.AsyncClient, redis: Redis
) -> None:
    await published(redis, http, card("one", BY_WORDS), card("two", BY_WORDS))

    tool = (await http.get("/tools/search")).json()

    assert (tool["kind"], tool["agents"]) == ("server", ["one", "two"])
    assert tool["input_schema"] == {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:mamba:tool:search:input",
        "title": "SearchInput",
        **BY_WORDS,
    }
    assert tool["output_schema"]["type"] == "null"


async def test_of_two_tools_of_one_name_it_has_to_be_said_whose(
    http: httpx.AsyncClient, redis: Redis
) -> None:
    listed = await published(redis, http, card("words", BY_WORDS), card("ids", BY_ID))

    refused = await http.get("/tools/search")
    meant = await http.get("/tools/search", params={"agent": "ids"})
    nobody = await http.get("/tools/search", params={"agent": "chat"})

    agents = [tool["agents"] for tool in listed if tool["name"] == "search"]
    assert {agent for named in agents for agent in named} >= {"ids", "words"}
    assert (refused.status_code, refused.json()["field"]) == (422, "agent")
    assert "ids" in refused.json()["detail"]
    assert meant.json()["input_schema"]["properties"] == BY_ID["properties"]
    assert nobody.status_code == 404


async def test_a_tool_that_is_not_there_is_not_found(http: httpx.AsyncClient) -> None:
    refused = await http.get("/tools/rm")

    assert (refused.status_code, refused.json()["code"]) == (404, "not_found")
    assert "GET /tools" in refused.json()["detail"]
