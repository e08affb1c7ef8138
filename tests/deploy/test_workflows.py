"""GitHub's workflows: valid, pinned, and without a right more than they need."""

import re

import yaml

from tests.support.deploy.helm import ROOT
from tests.support.deploy.tools import tool

FILES = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def test_they_meet_the_schema() -> None:
    assert FILES
    tool("check-jsonschema", "--builtin-schema", "vendor.github-workflows", *map(str, FILES))


def test_nothing_in_them_can_be_abused() -> None:
    tool("zizmor", "--offline", "--quiet", "--no-progress", *map(str, FILES))


def test_each_action_is_pinned_to_a_commit_and_says_its_version() -> None:
    for file in FILES:
        used = [line for line in file.read_text().splitlines() if "uses:" in line]
        for line in used:
            assert re.search(r"uses: [\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$", line), line


def test_they_test_every_python_that_the_package_is_for() -> None:
    check = yaml.safe_load((ROOT / ".github/workflows/check.yml").read_text())
    matrix = check["jobs"]["test"]["strategy"]["matrix"]

    assert matrix["python"][0] == "3.11"
    assert 'requires-python = ">=3.11"' in (ROOT / "pyproject.toml").read_text()
    assert {"store": "redis", "python": "3.11"} in matrix["include"]
