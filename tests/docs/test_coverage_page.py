"""docs/reference-coverage.md names only what is there, and leaves no row without a reason."""

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
#: Shorter than this nothing is argued.
ARGUED = re.compile(r"^Otherwise: .{15,}")


class Row(NamedTuple):
    said: str
    here: str
    proof: str


def rows() -> list[Row]:
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line[1:-1].split(" | ")] for line in lines]
    assert all(len(row) == 3 for row in cells), [row for row in cells if len(row) != 3]
    return [Row(*row) for row in cells if row[0] != "the reference"]


@cache
def names_in(path: str) -> frozenset[str]:
    tree = ast.parse((ROOT / path).read_text())
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, functions))


def test_every_row_has_a_proof_that_exists_or_an_argument() -> None:
    for row in rows():
        named = TEST.findall(row.proof)
        assert named or ARGUED.match(row.proof), row
        assert len(named) == row.proof.count("::"), f"not readable as tests: {row.proof}"
        for path, test in named:
            assert (ROOT / path).is_file(), row
            assert test in names_in(path), row


def test_every_row_says_where_it_lives() -> None:
    for row in rows():
        links = re.findall(r"\]\(([^)]+)\)", row.here)
        assert links or (row.here.startswith("`") and ARGUED.match(row.proof)), row
        for link in links:
            assert (PAGE.parent / link).exists(), row


def test_the_page_is_about_all_of_it() -> None:
    assert len(rows()) > 150


def test_uv_installs_all_of_it() -> None:
    """`uv sync` installs the group `dev`, which is the extra `dev`, which is all the others."""
    assert PROJECT["dependency-groups"]["dev"] == ["mamba-server[dev]"]
    assert "mamba-server[api,worker,tracing]" in PROJECT["project"]["optional-dependencies"]["dev"]


def test_pytest_measures_coverage(pytestconfig: pytest.Config) -> None:
    assert pytestconfig.pluginmanager.hasplugin("pytest_cov")


def test_the_tools_are_the_documented_ones() -> None:
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
def test_the_packages_are_the_documented_ones_or_newer(package: str) -> None:
    installed = tuple(int(part) for part in re.findall(r"\d+", version(package))[:3])

    assert any(re.match(rf"{package}\b", line) for line in requires("mamba-server") or ())
    assert installed >= PACKAGES[package]


def test_pydantic_ai_is_pinned() -> None:
    worker = PROJECT["project"]["optional-dependencies"]["worker"]
    assert any(re.match(r"pydantic-ai-slim\[.+\]==\d", line) for line in worker)


def test_the_layers_are_checked() -> None:
    contracts = PROJECT["tool"]["importlinter"]["contracts"]
    layers = next(one["layers"] for one in contracts if one["type"] == "layers")
    forbidden = [one for one in contracts if one["type"] == "forbidden"]

    assert layers == ["mamba", "api | worker", "shared"]
    assert any("pydantic_ai" in one["forbidden_modules"] for one in forbidden)


def test_the_style_is_checked() -> None:
    ruff = PROJECT["tool"]["ruff"]

    assert ruff["line-length"] == 100
    assert {"I", "ANN", "N"} <= set(ruff["lint"]["select"])
    assert PROJECT["tool"]["pyright"]["typeCheckingMode"] == "strict"


def test_one_command_is_the_whole_check() -> None:
    assert "make check" in (ROOT / ".ci/run").read_text()


def test_the_settings_have_the_documented_classes() -> None:
    for name in ("Server", "Auth", "OpenAI", "Logging", "Health", "Title"):
        kind = getattr(shared.settings, f"{name}Settings")
        assert isinstance(getattr(Settings(), name.lower()), kind)


def test_the_middleware_stands_in_the_documented_order() -> None:
    names = [getattr(one.cls, "__name__", "") for one in create_app(Settings()).user_middleware]
    documented = ["CORSMiddleware", "RequestIdMiddleware", "RequestLogMiddleware", "AuthMiddleware"]

    assert [name for name in names if name in documented] == documented
