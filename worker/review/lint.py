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
#: Matters of taste; `assert`, which is normal in tests; and warnings about every subprocess, file
#: permission or random number, which are rarely problems.
_IGNORED = (
    "S101,S103,S104,S311,S404,S603,S604,S606,S607,RUF001,RUF002,RUF003,RUF012,SIM108,RET505,"
    "PLW2901,PLW0603"
)
#: The newest version, so that new syntax is no error.
_TARGET = "py314"
#: Rules that need the complete file, such as unused imports and undefined names.
_COMPLETE_FILES_ONLY = ("F401", "F704", "F706", "F811", "F821", "F822", "invalid-syntax")

#: Up to this many lines at either end of a hunk are dropped to make the rest parsable.
_MAX_DROPPED_LINES = 7

#: The first matching prefix applies. High are problems that are rarely intended.
_KINDS: tuple[tuple[str, Severity, Category], ...] = (
    ("invalid-syntax", "high", "syntax"),
    ("E9", "high", "syntax"),
    ("SIM", "low", "style"),
    *((code, "high", "security") for code in ("S102", "S307", "S501", "S602", "S605", "S608")),
    ("S105", "low", "security"),
    ("S106", "low", "security"),
    ("S107", "low", "security"),
    ("S", "medium", "security"),
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
_MAX_MESSAGE = 300
#: Ruff's words about a command that contains no values.
_HARMLESS = "seems safe"


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
    for problem in _ruff(pieces):
        piece = pieces[int(Path(problem["filename"]).stem)]
        if piece.source.complete or problem["code"] not in _COMPLETE_FILES_ONLY:
            yield _finding(piece, problem)


def _parseable(fragment: Fragment) -> Fragment:
    """Return the largest parsable part of a hunk, which may start or end inside a statement."""
    lines = fragment.text.removesuffix("\n").split("\n")
    for first, last in sorted(product(range(_MAX_DROPPED_LINES), repeat=2), key=sum):
        text = "".join(f"{line}\n" for line in lines[first : len(lines) - last])
        if _parses(dedent(text)):
            return Fragment(start=fragment.start + first, text=text)
    return fragment


def _parses(text: str) -> bool:
    try:
        ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def _ruff(pieces: Sequence[_Piece]) -> list[dict[str, Any]]:
    with TemporaryDirectory() as folder:
        for number, piece in enumerate(pieces):
            name = f"{number}.pyi" if piece.source.path.endswith(".pyi") else f"{number}.py"
            text = dedent(piece.fragment.text)
            (Path(folder) / name).write_text(text, encoding="utf-8", errors="replace")
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
                f"--target-version={_TARGET}",
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
    if _HARMLESS in problem["message"]:
        severity = "low"
    shift = piece.fragment.start - 1
    return Finding(
        path=piece.source.path,
        line=problem["location"]["row"] + shift,
        end_line=problem["end_location"]["row"] + shift,
        severity=severity,
        category=category,
        rule=f"ruff:{code}",
        message=problem["message"][:_MAX_MESSAGE],
    )


def _kind(code: str) -> tuple[Severity, Category]:
    return next((kind[1], kind[2]) for kind in _KINDS if code.startswith(kind[0]))
