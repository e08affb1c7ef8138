"""Commands, panels, settings, events and chart values in docs/operate/runbook.md exist."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import click
import pytest
import typer.main

from deploy import chart
from deploy.dashboards.files import FOLDER, dashboards
from mamba.cli import app

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/operate/runbook.md").read_text()
#: Dotted names that are not names of Mamba.
OTHERS = {"mamba.rdb", "asyncio.to_thread"}


def commands() -> Iterator[tuple[str, str]]:
    """Yield each `mamba …` command of the docs with the name of its page."""
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))):
        for found in re.findall(
            r"(?:^|[`$] ?|-- )mamba ((?:[a-z]+ ?)+)", page.read_text(), re.MULTILINE
        ):
            yield page.name, found.strip()


def test_every_documented_command_exists() -> None:
    root = cast("click.Group", typer.main.get_command(app))
    unknown = [(page, command) for page, command in commands() if not known(root, command)]

    assert len(list(commands())) > 20
    assert unknown == []


def known(group: click.Group, command: str) -> bool:
    name, _, rest = command.partition(" ")
    found = group.commands.get(name)
    if found is None:
        return False
    return not isinstance(found, click.Group) or not rest or known(found, rest)


def test_every_panel_in_the_runbook_exists() -> None:
    text = "".join(dashboards().values())
    named = set(re.findall(r"(?<!\*)\*([A-Z][^*\n]+)\*(?!\*)", PAGE))

    assert len(named) > 20
    assert [name for name in sorted(named) if f'"title": "{name}' not in text] == []
    assert len(list(FOLDER.glob("*.json"))) == len(dashboards())


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`([a-z]\w*(?:\.\w+)+)`", PAGE)) - OTHERS))
def test_every_setting_event_and_value_in_the_runbook_exists(name: str) -> None:
    settings = (ROOT / "docs/reference/configuration.md").read_text()
    events = (ROOT / "docs/reference/logs.md").read_text()
    values = [value.path for value in chart.values()]
    variable = f"MAMBA_{name.replace('.', '__').upper()}"

    documented = f"`{name}`" in settings or variable in settings or f"`{name}`" in events
    # Otherwise a chart value, the end of its path, or a section of the chart.
    assert documented or any(f".{path}.".find(f".{name}.") >= 0 for path in values)
