"""The agent cards that workers publish, and the agents that the API lists from them."""

from pathlib import Path

import pytest

from api.catalog.agent_directory import AgentDirectory
from shared.agents import catalog
from shared.agents.agent_card import AgentCard
from shared.agents.agent_file import AgentFile
from shared.agents.catalog import AgentCatalog
from shared.errors import InvalidRequest, SettingsError
from shared.redis import keys
from shared.redis.client import Redis
from shared.settings import AgentSettings


@pytest.fixture
def agent_catalog(redis: Redis) -> AgentCatalog:
    return AgentCatalog(redis, live_ttl=600)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "agents.yaml"
    file.write_text("agents: [{name: poet, instructions: Rhyme., description: Old}]")
    return file


def directory(agent_catalog: AgentCatalog, file: Path) -> AgentDirectory:
    return AgentDirectory(agent_catalog, AgentFile(AgentSettings(file=file)))


async def test_cards_of_all_workers_are_merged(agent_catalog: AgentCatalog) -> None:
    await agent_catalog.publish([AgentCard(name="a"), AgentCard(name="b")])
    await agent_catalog.publish([AgentCard(name="b", description="newer"), AgentCard(name="c")])

    descriptions = {card.name: card.description for card in await agent_catalog.read()}
    assert descriptions == {"a": "", "b": "newer", "c": ""}


async def test_card_that_is_not_renewed_expires(
    agent_catalog: AgentCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    await agent_catalog.publish([AgentCard(name="gone")])
    await agent_catalog.publish([AgentCard(name="here")])
    assert len(await agent_catalog.read()) == 2

    monkeypatch.setattr(catalog, "KEPT_SECONDS", -1)
    await agent_catalog.publish([AgentCard(name="here")])

    assert [card.name for card in await agent_catalog.read()] == ["here"]


async def test_unreadable_card_is_ignored(agent_catalog: AgentCatalog, redis: Redis) -> None:
    await agent_catalog.publish([AgentCard(name="a")])
    await redis.execute_command("HSET", keys.AGENTS, "b", "1 {}", "c", "nonsense")

    assert [card.name for card in await agent_catalog.read()] == ["a"]


async def test_api_lists_built_in_file_and_published_agents(
    agent_catalog: AgentCatalog, file: Path
) -> None:
    await agent_catalog.publish([AgentCard(name="weather"), AgentCard(name="poet")])

    cards = await directory(agent_catalog, file).all()

    assert [card.name for card in cards] == ["chat", "code_review", "research", "poet", "weather"]
    assert cards[3].description == "Old"


async def test_newly_published_agent_is_found(agent_catalog: AgentCatalog, file: Path) -> None:
    agents = directory(agent_catalog, file)
    await agents.all()
    with pytest.raises(InvalidRequest, match=r"Unknown agent\. Available agents: .*poet\."):
        await agents.find("weather")

    await agent_catalog.publish([AgentCard(name="weather")])

    assert (await agents.find("weather")).name == "weather"


def write_agent(file: Path, name: str, more: str = "") -> None:
    file.write_text(f"agents: [{{name: {name}{more}}}]")


async def test_file_change_applies_unless_it_is_invalid(
    agent_catalog: AgentCatalog, file: Path
) -> None:
    agents = directory(agent_catalog, file)
    write_agent(file, "cook", ", instructions: Cook.")
    assert (await agents.find("cook")).name == "cook"

    write_agent(file, "broken")
    assert (await agents.find("cook")).name == "cook"

    with pytest.raises(SettingsError, match="instructions"):
        directory(agent_catalog, file)


async def test_withdrawn_agent_is_gone_at_once(agent_catalog: AgentCatalog) -> None:
    await agent_catalog.publish([AgentCard(name="a", from_file=True), AgentCard(name="b")])

    await agent_catalog.withdraw(["a"])

    assert [card.name for card in await agent_catalog.read()] == ["b"]


async def age_all(redis: Redis) -> None:
    """Make all publications half a minute old."""
    fields: dict[bytes, bytes] = await redis.execute_command("HGETALL", keys.AGENTS)
    for name, value in fields.items():
        time, _, card = value.partition(b" ")
        await redis.execute_command(
            "HSET", keys.AGENTS, name, b"%d %b" % (int(time) - 30_000, card)
        )


async def test_file_agent_that_only_a_restarted_worker_had_is_gone(
    agent_catalog: AgentCatalog, redis: Redis
) -> None:
    removed, installed = AgentCard(name="removed", from_file=True), AgentCard(name="installed")
    await agent_catalog.publish([removed, installed])
    await age_all(redis)
    # Without workers, agents are kept.
    assert len(await agent_catalog.read()) == 2

    await agent_catalog.publish([AgentCard(name="new", from_file=True)])

    assert {card.name for card in await agent_catalog.read()} == {"installed", "new"}


async def test_file_agent_on_a_queue_without_workers_is_kept(
    agent_catalog: AgentCatalog, redis: Redis
) -> None:
    slow = AgentCard(name="slow", queue="slow", from_file=True)
    await agent_catalog.publish([slow])
    await age_all(redis)

    main = [AgentCard(name="main", from_file=True)]
    await agent_catalog.publish(main, also_in_file=["main", "slow", "never-published"])

    assert {card.name for card in await agent_catalog.read()} == {"main", "slow"}
    assert slow in await agent_catalog.read()
