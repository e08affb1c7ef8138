"""Keeps the repository readable: vocabulary, folder sizes, file sizes, package docstrings."""

import ast
import io
import re
import subprocess
import tokenize
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("api", "mamba", "shared", "worker")

MAX_FILES_PER_FOLDER = 15
MAX_SOURCE_LINES = 400
MAX_TEST_LINES = 600
MAX_TEST_NAME = 60

#: Words that neither prose nor names may use. Most were private metaphors or personifications.
BANNED_WORDS = frozenset(
    {
        "anew",
        "bell",
        "blameless",
        "everybody",
        "habits",
        "house",
        "houses",
        "lane",
        "lanes",
        "mend",
        "mended",
        "mends",
        "nobody",
        "ours",
        "prelude",
        "tether",
        "tethered",
        "tell",
        "tells",
        "told",
        "whoever",
        "wire",
        "wires",
    }
)
#: Words that are fine in a sentence, but do not say enough in a name.
BANNED_IN_NAMES = frozenset(
    {
        "allowance",
        "gate",
        "mistake",
        "mistakes",
        "orders",
        "pace",
        "paced",
        "place",
        "places",
        "presence",
        "said",
        "says",
        "sayable",
        "senses",
        "settle",
        "settled",
        "totals",
        "turn",
        "turns",
        "weakness",
    }
)
BANNED_FILE_NAMES = frozenset({"common", "data", "helper", "helpers", "manager", "misc", "utils"})
#: Files that quote other people's words, or this list.
EXEMPT_FROM_WORDS = frozenset({"LICENSE", "tests/repository/test_readability.py"})

TEXT_SUFFIXES = frozenset(
    {
        ".css",
        ".html",
        ".js",
        ".json",
        ".md",
        ".mjs",
        ".py",
        ".sh",
        ".toml",
        ".tpl",
        ".ts",
        ".tsx",
        ".txt",
        ".yaml",
        ".yml",
    }
)


def tracked_files() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return [
        path for line in listed.splitlines() if (path := Path(line)) and (ROOT / path).is_file()
    ]


FILES = tracked_files()
PYTHON_FILES = [path for path in FILES if path.suffix == ".py"]


def source_words(text: str) -> Iterator[str]:
    """The lower-case words of a text, with snake_case and camelCase names split into theirs."""
    for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", text):
        yield word.lower()


def names_in(source: str) -> Iterator[str]:
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.NAME:
            yield token.string


def imported_modules(source: str) -> Iterator[str]:
    """The modules of a source's imports, and the names that it imports from them."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def report(found: Iterable[tuple[str, str]]) -> str:
    counted = Counter(found)
    return "\n".join(f"{file}: {word} ({count})" for (file, word), count in counted.most_common(40))


def test_no_banned_word_is_used() -> None:
    found: list[tuple[str, str]] = []
    for path in FILES:
        if path.suffix in TEXT_SUFFIXES and str(path) not in EXEMPT_FROM_WORDS:
            words = source_words((ROOT / path).read_text(encoding="utf-8"))
            found += [(str(path), word) for word in words if word in BANNED_WORDS]

    assert not found, f"{len(found)} banned words:\n{report(found)}"


def test_no_name_uses_a_banned_word() -> None:
    found: list[tuple[str, str]] = []
    for path in PYTHON_FILES:
        if str(path) not in EXEMPT_FROM_WORDS:
            for name in names_in((ROOT / path).read_text(encoding="utf-8")):
                found += [(str(path), name) for w in source_words(name) if w in BANNED_IN_NAMES]

    assert not found, f"{len(found)} names with a banned word:\n{report(found)}"


def test_no_file_has_a_name_without_a_meaning() -> None:
    assert not [path for path in PYTHON_FILES if path.stem in BANNED_FILE_NAMES]


def test_no_folder_has_too_many_files() -> None:
    folders = Counter(
        path.parent for path in FILES if path.suffix in {".py", ".ts", ".tsx", ".mjs"}
    )
    folders.subtract(path.parent for path in FILES if path.name == "__init__.py")

    assert not {folder: n for folder, n in folders.items() if n > MAX_FILES_PER_FOLDER}


def test_no_file_is_too_long() -> None:
    lengths = {path: (ROOT / path).read_text(encoding="utf-8").count("\n") for path in PYTHON_FILES}

    assert not {
        str(path): lines
        for path, lines in lengths.items()
        if lines > (MAX_TEST_LINES if path.parts[0] == "tests" else MAX_SOURCE_LINES)
    }


@pytest.mark.parametrize("package", PACKAGES)
def test_each_package_says_what_belongs_in_it(package: str) -> None:
    missing = [
        str(path)
        for path in PYTHON_FILES
        if path.parts[0] == package
        and path.name == "__init__.py"
        and not ast.get_docstring(ast.parse((ROOT / path).read_text(encoding="utf-8")))
    ]

    assert not missing


def test_no_two_classes_have_the_same_name() -> None:
    classes = Counter(
        node.name
        for path in PYTHON_FILES
        for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
    )

    assert not {name: count for name, count in classes.items() if count > 1}


def test_no_test_module_imports_another() -> None:
    """What several test modules use belongs to `tests/support` or a `conftest.py`."""
    found = [
        f"{path}: {name}"
        for path in PYTHON_FILES
        for name in imported_modules((ROOT / path).read_text(encoding="utf-8"))
        if name.startswith("tests.") and name.rpartition(".")[2].startswith("test_")
    ]

    assert not found


def test_test_names_are_short() -> None:
    names = [
        node.name
        for path in PYTHON_FILES
        if path.name.startswith("test_")
        for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
    ]

    assert not [name for name in names if len(name) > MAX_TEST_NAME]
