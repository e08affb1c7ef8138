"""GitHub files: workflows, Dependabot and issue forms."""

import re

import yaml

from tests.support.deploy.helm import ROOT
from tests.support.deploy.tools import tool

GITHUB = ROOT / ".github"
FILES = sorted((GITHUB / "workflows").glob("*.yml"))


def test_workflows_match_the_schema() -> None:
    assert FILES
    tool("check-jsonschema", "--builtin-schema", "vendor.github-workflows", *map(str, FILES))


def test_dependabot_configuration_matches_the_schema() -> None:
    tool("check-jsonschema", "--builtin-schema", "vendor.dependabot", ".github/dependabot.yml")


def test_issue_forms_have_unique_field_ids() -> None:
    for name in ("bug_report", "feature_request"):
        form = yaml.safe_load((GITHUB / "ISSUE_TEMPLATE" / f"{name}.yml").read_text())
        ids = [field["id"] for field in form["body"] if field["type"] != "markdown"]
        assert form["name"]
        assert len(ids) == len(set(ids))


def test_workflows_pass_the_security_linter() -> None:
    tool("zizmor", "--offline", "--quiet", "--no-progress", *map(str, FILES))


def test_actions_are_pinned_to_commits() -> None:
    for file in FILES:
        used = [line for line in file.read_text().splitlines() if "uses:" in line]
        for line in used:
            assert re.search(r"uses: [\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$", line), line


def test_workflows_cover_supported_python_versions() -> None:
    check = yaml.safe_load((ROOT / ".github/workflows/check.yml").read_text())
    matrix = check["jobs"]["test"]["strategy"]["matrix"]

    assert matrix["python"][0] == "3.11"
    assert 'requires-python = ">=3.11"' in (ROOT / "pyproject.toml").read_text()
    assert {"store": "redis", "python": "3.11"} in matrix["include"]
