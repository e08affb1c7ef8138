"""Checks Python code with ruff, which does not execute it."""

import ast
import json
import subprocess
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from textwrap import dedent
from typing import Any, NamedTuple

from ruff.__main__ import find_ruff_bin

from worker.review.findings import Category, Finding, Severity
from worker.review.language import PYTHON
from worker.review.source import Fragment, ReviewSource

_SECONDS = 20
_RULES = "F,B,S,E7,E9,PLE,PLW,ASYNC,BLE,C4,SIM,PERF,RET,RUF,UP006,UP007"
#: Matters of taste, and `assert`, which is normal in tests.
_IGNORED = "S101,RUF001,RUF002,RUF003,RUF012,SIM108,RET505,PLW2901,PLW0603"
#: Rules that need the complete file, such as unused imports and undefined names.
_COMPLETE_FILES_ONLY = ("F401", "F704", "F706", "F811", "F821", "F822", "invalid-syntax")

#: Up to this many lines at either end of a hunk are dropped to make the rest parsable.
_MAX_DROPPED_LINES = 7

#: The first matching prefix applies.
_KINDS: tuple[tuple[str, Severity, Category], ...] = (
    ("invalid-syntax", "high", "syntax"),
    ("E9", "high", "syntax"),
    ("SIM", "low", "style"),
    ("S1", "medium", "security"),
    ("S", "high", "security"),
    ("F821", "high", "bug"),
    ("F401", "low", "style"),
    ("F", "medium", "bug"),
    ("PLE", "high", "bug"),
    ("B", "medium", "bug"),
    ("PLW", "medium", "bug"),
    ("ASYNC", "medium", "bug"),
    ("E722", "medium", "bug"),
    ("RUF006", "medium", "bug"),
    ("", "low", "style"),
)


class _Piece(NamedTuple):
    source: ReviewSource
    fragment: Fragment


def lint_findings(sources: Sequence[ReviewSource]) -> Iterator[Finding]:
    pieces = [
        _Piece(source, fragment if source.complete else _parseable(fragment))
        for source in sources
        if source.language == PYTHON.name
        for fragment in source.fragments
    ]
    if not pieces:
        return
    for problem in _ruff([dedent(piece.fragment.text) for piece in pieces]):
        piece = pieces[int(Path(problem["filename"]).stem)]
        if piece.source.complete or problem["code"] not in _COMPLETE_FILES_ONLY:
            yield _finding(piece, problem)


def _parseable(fragment: Fragment) -> Fragment:
    """The largest parsable part of a hunk, which may start or end inside a statement."""
    lines = fragment.text.splitlines(keepends=True)
    for first, last in sorted(product(range(_MAX_DROPPED_LINES), repeat=2), key=sum):
        text = "".join(lines[first : len(lines) - last])
        if _parses(dedent(text)):
            return Fragment(start=fragment.start + first, text=text)
    return fragment


def _parses(text: str) -> bool:
    try:
        ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def _ruff(texts: list[str]) -> list[dict[str, Any]]:
    with TemporaryDirectory() as folder:
        for number, text in enumerate(texts):
            (Path(folder) / f"{number}.py").write_text(text, errors="replace")
        result = subprocess.run(  # noqa: S603  (fixed arguments)
            [
                find_ruff_bin(),
                "check",
                "--isolated",
                "--no-cache",
                "--quiet",
                "--exit-zero",
                "--ignore-noqa",
                "--output-format=json",
                f"--select={_RULES}",
                f"--ignore={_IGNORED}",
                folder,
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            check=True,
            timeout=_SECONDS,
        )
    return json.loads(result.stdout)


def _finding(piece: _Piece, problem: dict[str, Any]) -> Finding:
    code: str = problem["code"] or "invalid-syntax"
    severity, category = _kind(code)
    shift = piece.fragment.start - 1
    return Finding(
        path=piece.source.path,
        line=problem["location"]["row"] + shift,
        end_line=problem["end_location"]["row"] + shift,
        severity=severity,
        category=category,
        rule=f"ruff:{code}",
        message=problem["message"],
    )


def _kind(code: str) -> tuple[Severity, Category]:
    return next((kind[1], kind[2]) for kind in _KINDS if code.startswith(kind[0]))
