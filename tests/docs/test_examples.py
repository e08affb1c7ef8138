"""The applications in `examples/` contain the documented code, and start with one command."""

import json
from pathlib import Path

import pytest

from tests.support.examples.documented_files import EXAMPLES, ROOT, documented_files

FOLDERS = sorted(path.parent for path in EXAMPLES.glob("*/README.md"))
MAX_README_LINES = 50
CLIENT = "file:../../clients/js"
by_folder = pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)


@pytest.mark.parametrize("path", documented_files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_example_contains_the_documented_code(path: Path) -> None:
    assert path.read_text() == documented_files()[path], "run: make docs"


@by_folder
def test_example_is_listed_and_described_on_one_screen(folder: Path) -> None:
    assert f"| [{folder.name}]({folder.name}) |" in (EXAMPLES / "README.md").read_text()
    assert (folder / "README.md").read_text().count("\n") <= MAX_README_LINES


@by_folder
def test_npm_packages_are_pinned(folder: Path) -> None:
    if not (folder / "package.json").exists():
        return
    package = json.loads((folder / "package.json").read_text())
    pinned = package["dependencies"] | package.get("devDependencies", {})
    client = pinned.pop("@mamba-server/client", CLIENT)
    locked = json.loads((folder / "package-lock.json").read_text())["packages"]

    assert client == CLIENT
    assert all(locked[f"node_modules/{name}"]["version"] == pinned[name] for name in pinned)
    assert not [name for name, entry in locked.items() if "http" in entry.get("resolved", "")]
