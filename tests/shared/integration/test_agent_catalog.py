"""What the workers say of their agents, and what the API makes of it."""

from pathlib import Path

import pytest

from api.catalog.agent_directory import AgentDirectory
from shared.agents import catalog
from shared.agents.agent_file import AgentFile
from shared.agents.card import AgentCard
from shared.agents.catalog import AgentCatalog
from shared.errors import InvalidRequest, SettingsError
from shared.redis import keys
from shared.redis.client import Redis
from shared.settings import AgentSettings


@pytest.fixture
def catalogue(redis: Redis) -> AgentCatalog:
    return AgentCatalog(redis, live_ttl=600)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "agents.yaml"
    file.write_text("agents: [{name: poet, instructions: Rhyme., description: Old}]")
    return file


def directory(catalogue: AgentCatalog, file: Path) -> AgentDirectory:
    return AgentDirectory(catalogue, AgentFile(AgentSettings(file=file)))


async def test_what_workers_say_is_added_up(catalogue: AgentCatalog) -> None:
    await catalogue.publish([AgentCard(name="a"), AgentCard(name="b")])
    await catalogue.publish([AgentCard(name="b", description="newer"), AgentCard(name="c")])

    said = {card.name: card.description for card in await catalogue.read()}
    assert said == {"a": "", "b": "newer", "c": ""}


async def test_an_agent_that_nobody_speaks_of_is_forgotten_after_a_while(
    catalogue: AgentCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    await catalogue.publish([AgentCard(name="gone")])
    await catalogue.publish([AgentCard(name="here")])
    assert len(await catalogue.read()) == 2

    monkeypatch.setattr(catalog, "KEPT_SECONDS", -1)
    await catalogue.publish([AgentCard(name="here")])

    assert [card.name for card in await catalogue.read()] == ["here"]


async def test_what_cannot_be_read_is_passed_over(catalogue: AgentCatalog, redis: Redis) -> None:
    await catalogue.publish([AgentCard(name="a")])
    await redis.execute_command("HSET", keys.AGENTS, "b", "1 {}", "c", "nonsense")

    assert [card.name for card in await catalogue.read()] == ["a"]


async def test_the_api_names_the_built_in_the_described_and_the_offered(
    catalogue: AgentCatalog, file: Path
) -> None:
    await catalogue.publish([AgentCard(name="weather"), AgentCard(name="poet")])

    cards = await directory(catalogue, file).all()

    assert [card.name for card in cards] == ["chat", "code_review", "research", "poet", "weather"]
    assert cards[3].description == "Old"


async def test_an_agent_that_a_worker_has_just_brought_is_found(
    catalogue: AgentCatalog, file: Path
) -> None:
    agents = directory(catalogue, file)
    await agents.all()
    with pytest.raises(InvalidRequest, match=r"Unknown agent\. Available agents: .*poet\."):
        await agents.find("weather")

    await catalogue.publish([AgentCard(name="weather")])

    assert (await agents.find("weather")).name == "weather"


def write(file: Path, name: str, more: str = "") -> None:
    file.write_text(f"agents: [{{name: {name}{more}}}]")


async def test_a_change_of_the_file_is_taken_over_and_a_mistake_in_it_is_not(
    catalogue: AgentCatalog, file: Path
) -> None:
    agents = directory(catalogue, file)
    write(file, "cook", ", instructions: Cook.")
    assert (await agents.find("cook")).name == "cook"

    write(file, "broken")
    assert (await agents.find("cook")).name == "cook"

    with pytest.raises(SettingsError, match="instructions"):
        directory(catalogue, file)
