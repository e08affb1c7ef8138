"""`GET /tools` of a real API process, with and without published agents."""

from collections.abc import AsyncGenerator, Generator
from pathlib import Path
from typing import Any

import httpx
import pytest
from jsonschema_rs import Draft202012Validator, meta

from shared.agents.agent_card import AgentCard
from shared.agents.catalog import AgentCatalog
from shared.agents.tools import DISPLAY_TOOL_NAMES, ToolCard
from shared.redis.client import Redis
from tests.support.processes import Api, Valkey, running
from tests.support.wait import until

Json = dict[str, Any]

FILE = "agents: [{name: poet, instructions: Rhyme., tools: [generateCard, search_notes]}]"


@pytest.fixture(scope="module")
def api(valkey: Valkey, tmp_path_factory: pytest.TempPathFactory) -> Generator[Api]:
    file: Path = tmp_path_factory.mktemp("agents") / "agents.yaml"
    file.write_text(FILE)
    with running(Api(valkey.url, {"MAMBA_AGENTS__FILE": str(file)})) as process:
        yield process


@pytest.fixture
async def http(api: Api, redis: Redis) -> AsyncGenerator[httpx.AsyncClient]:  # noqa: ARG001
    async with httpx.AsyncClient(base_url=api.url, timeout=30) as client:
        yield client


def card(agent: str, schema: Json, *, description: str = "Searches.") -> AgentCard:
    tool = ToolCard(
        name="search", description=description, input_schema=schema, output_schema={"type": "null"}
    )
    return AgentCard(name=agent, tools=("search",), own_tools=(tool,))


BY_WORDS = {"type": "object", "properties": {"words": {"type": "string"}}}
BY_ID = {"type": "object", "properties": {"id": {"type": "integer"}}}


async def publish(redis: Redis, http: httpx.AsyncClient, *cards: AgentCard) -> list[Json]:
    """Publish these agents, and return the tools once the API lists them."""
    await AgentCatalog(redis, live_ttl=60).publish(cards)

    async def probe() -> list[Json] | None:
        listed = (await http.get("/tools")).json()["tools"]
        known = {agent for tool in listed for agent in tool["agents"]}
        return listed if known >= {card.name for card in cards} else None

    listed = await until(probe)
    assert listed is not None
    return listed


async def test_display_tools_are_listed_without_a_worker(http: httpx.AsyncClient) -> None:
    listed = (await http.get("/tools")).json()["tools"]

    display = [tool for tool in listed if tool["kind"] == "display"]
    assert [tool["name"] for tool in display] == list(DISPLAY_TOOL_NAMES)
    assert [tool["agents"] for tool in display] == [["chat"]] * 3 + [["chat", "poet"]]
    assert all(tool["description"] for tool in display)


@pytest.mark.parametrize("name", DISPLAY_TOOL_NAMES)
async def test_display_tool_has_valid_titled_schemas(http: httpx.AsyncClient, name: str) -> None:
    tool = (await http.get(f"/tools/{name}")).json()

    for side in ("input", "output"):
        schema = tool[f"{side}_schema"]
        assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
        assert schema["$id"] == f"urn:mamba:tool:{name}:{side}"
        assert schema["title"] == f"{name[0].upper()}{name[1:]}{side.capitalize()}"
        meta.validate(schema)
        Draft202012Validator(schema).validate(tool["example"])


async def test_tool_of_an_unpublished_agent_has_no_schemas(
    http: httpx.AsyncClient,
) -> None:
    tool = (await http.get("/tools/search_notes")).json()

    assert (tool["kind"], tool["agents"]) == ("server", ["research", "poet"])
    assert (tool["input_schema"], tool["output_schema"], tool["example"]) == (None, None, None)


async def test_published_tool_has_its_schemas(http: httpx.AsyncClient, redis: Redis) -> None:
    await publish(redis, http, card("one", BY_WORDS), card("two", BY_WORDS))

    tool = (await http.get("/tools/search")).json()

    assert (tool["kind"], tool["agents"]) == ("server", ["one", "two"])
    assert tool["input_schema"] == {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:mamba:tool:search:input",
        "title": "SearchInput",
        **BY_WORDS,
    }
    assert tool["output_schema"]["type"] == "null"


async def test_ambiguous_tool_name_requires_the_agent(
    http: httpx.AsyncClient, redis: Redis
) -> None:
    listed = await publish(redis, http, card("words", BY_WORDS), card("ids", BY_ID))

    response = await http.get("/tools/search")
    selected = await http.get("/tools/search", params={"agent": "ids"})
    unrelated = await http.get("/tools/search", params={"agent": "chat"})

    agents = [tool["agents"] for tool in listed if tool["name"] == "search"]
    assert {agent for names in agents for agent in names} >= {"ids", "words"}
    assert (response.status_code, response.json()["field"]) == (422, "agent")
    assert "ids" in response.json()["detail"]
    assert selected.json()["input_schema"]["properties"] == BY_ID["properties"]
    assert unrelated.status_code == 404


async def test_unknown_tool_returns_404(http: httpx.AsyncClient) -> None:
    response = await http.get("/tools/rm")

    assert (response.status_code, response.json()["code"]) == (404, "not_found")
    assert "GET /tools" in response.json()["detail"]
