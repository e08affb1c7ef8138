"""Well-kept code has no high findings and few nesting findings."""

import argparse
from functools import cache
from pathlib import Path

import click
import httpx
import pytest
import starlette

from tests.support.unit.review import findings_in
from worker.review.findings import Finding

ROOT = Path(__file__).parents[4]
FILES = (
    *(ROOT / "worker/review").rglob("*.py"),
    *(ROOT / "shared/streams").rglob("*.py"),
    *(ROOT / "clients/js/src/connection").glob("*.ts"),
    Path(argparse.__file__),
    Path(click.__file__).parent / "parser.py",
    Path(httpx.__file__).parent / "_urlparse.py",
    Path(starlette.__file__).parent / "responses.py",
)


@cache
def findings(path: Path) -> tuple[Finding, ...]:
    return findings_in(path.name, path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_well_kept_code_has_no_high_findings(path: Path) -> None:
    assert [f for f in findings(path) if f.severity == "high"] == []


def test_functions_of_argparse_are_not_deeply_nested() -> None:
    nested = [f for f in findings(Path(argparse.__file__)) if f.rule == "metrics:nesting"]

    assert len(nested) <= 3
