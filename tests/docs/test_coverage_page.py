"""docs/reference-coverage.md cites existing tests and files, or gives a reason."""

import ast
import re
import tomllib
from functools import cache
from importlib.metadata import requires, version
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import shared.settings
from api.app import create_app
from shared.settings import Settings

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/reference-coverage.md"
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())

TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)(?:\[[^\]`]+\])?`")
#: A reason has at least 15 characters.
REASON = re.compile(r"^Otherwise: .{15,}")


class CoverageRow(NamedTuple):
    reference: str
    location: str
    proof: str


def rows() -> list[CoverageRow]:
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line[1:-1].split(" | ")] for line in lines]
    assert all(len(row) == 3 for row in cells), [row for row in cells if len(row) != 3]
    return [CoverageRow(*row) for row in cells if row[0] != "the reference"]


@cache
def names_in(path: str) -> frozenset[str]:
    tree = ast.parse((ROOT / path).read_text())
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, functions))


def test_every_row_cites_an_existing_test_or_a_reason() -> None:
    for row in rows():
        named = TEST.findall(row.proof)
        assert named or REASON.match(row.proof), row
        assert len(named) == row.proof.count("::"), f"not readable as tests: {row.proof}"
        for path, test in named:
            assert (ROOT / path).is_file(), row
            assert test in names_in(path), row


def test_every_row_links_to_existing_files() -> None:
    for row in rows():
        links = re.findall(r"\]\(([^)]+)\)", row.location)
        assert links or (row.location.startswith("`") and REASON.match(row.proof)), row
        for link in links:
            assert (PAGE.parent / link).exists(), row


def test_coverage_page_has_all_rows() -> None:
    assert len(rows()) > 150


def test_uv_sync_installs_every_extra() -> None:
    """`uv sync` installs the group `dev`, which contains the extra `dev` with all other extras."""
    assert PROJECT["dependency-groups"]["dev"] == ["mamba-server[dev]"]
    assert "mamba-server[api,worker,tracing]" in PROJECT["project"]["optional-dependencies"]["dev"]


def test_pytest_measures_coverage(pytestconfig: pytest.Config) -> None:
    assert pytestconfig.pluginmanager.hasplugin("pytest_cov")


def test_development_tools_match_the_reference() -> None:
    needed = " ".join(requires("mamba-server") or ())
    for tool in ("pytest", "pytest-asyncio", "pytest-cov", "ruff", "hatchling"):
        assert f"{tool}>" in needed.replace(" ", "") or f"{tool} " in needed, tool
    assert PROJECT["build-system"]["build-backend"] == "hatchling.build"
    assert PROJECT["tool"]["pytest"]["ini_options"]["asyncio_mode"] == "auto"


PACKAGES = {
    "fastapi": (0, 115),
    "pydantic": (2, 10),
    "pydantic-ai-slim": (0, 0, 49),
    "httpx": (0, 28),
    "uvicorn": (0, 32),
    "pyjwt": (0,),
}


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_match_the_reference_or_are_newer(package: str) -> None:
    installed = tuple(int(part) for part in re.findall(r"\d+", version(package))[:3])

    assert any(re.match(rf"{package}\b", line) for line in requires("mamba-server") or ())
    assert installed >= PACKAGES[package]


def test_pydantic_ai_is_pinned() -> None:
    worker = PROJECT["project"]["optional-dependencies"]["worker"]
    assert any(re.match(r"pydantic-ai-slim\[.+\]==\d", line) for line in worker)


def test_import_layers_are_checked() -> None:
    contracts = PROJECT["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    forbidden = [contract for contract in contracts if contract["type"] == "forbidden"]

    assert layers == ["mamba", "api | worker", "shared"]
    assert any("pydantic_ai" in contract["forbidden_modules"] for contract in forbidden)


def test_code_style_is_checked() -> None:
    ruff = PROJECT["tool"]["ruff"]

    assert ruff["line-length"] == 100
    assert {"I", "ANN", "N"} <= set(ruff["lint"]["select"])
    assert PROJECT["tool"]["pyright"]["typeCheckingMode"] == "strict"


def test_ci_runs_make_check() -> None:
    assert "make check" in (ROOT / ".ci/run").read_text()


def test_settings_classes_match_the_reference() -> None:
    for name in ("Server", "Auth", "OpenAI", "Logging", "Health", "Title"):
        kind = getattr(shared.settings, f"{name}Settings")
        assert isinstance(getattr(Settings(), name.lower()), kind)


def test_middleware_order_matches_the_reference() -> None:
    names = [
        getattr(middleware.cls, "__name__", "")
        for middleware in create_app(Settings()).user_middleware
    ]
    documented = [
        "CorsMiddleware",
        "RequestIdMiddleware",
        "RequestLogMiddleware",
        "AuthMiddleware",
    ]

    assert [name for name in names if name in documented] == documented
