"""Finds the code in a message: fenced blocks, and hunks of diffs outside and inside of them."""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from worker.review.extract.unified_diff import (
    FileHeader,
    Hunk,
    hunk_of,
    is_diff,
    read_header,
    read_hunk,
)

#: A code fence (CommonMark 4.5), also in a quotation or a list item, and at any depth of
#: indentation. The possessive quantifiers prevent catastrophic backtracking.
_FENCE = re.compile(
    r"(?P<quote>(?:[ ]{0,3}+>[ ]?+)*+)(?P<indent>[ \t]*+(?:(?:[-*+]|\d{1,9}[.)])[ \t]++)*+)"
    r"(?P<marks>`{3,}+|~{3,}+)(?P<info>.*)"
)
_QUOTE_MARK = re.compile(r"[ ]{0,3}+>[ ]?+")
_TAB = 4
_DIFF_LANGUAGES = ("diff", "patch", "udiff")
#: Lines of a text that are searched for closing fences of blocks that seem to have none. Each such
#: block would otherwise search the rest of the text.
_MAX_SEARCHED = 50_000
#: A name or language is shorter.
_MAX_INFO = 500


class Block(NamedTuple):
    """The content of a fenced block, and the text after the opening fence."""

    info: str
    text: str


class Change(NamedTuple):
    """The hunks of a diff for one file. `path` is None if the diff does not name the file."""

    path: str | None
    hunks: tuple[Hunk, ...]
    added: bool = False
    #: The text after the fence that encloses the diff.
    info: str = ""


def normalize_lines(text: str) -> str:
    """Return the text with line feeds as its only line ends, and without a byte order mark."""
    return re.sub(r"\r+\n|\r", "\n", text.removeprefix("\ufeff"))


def find_code(text: str) -> Iterator[Block | Change]:
    """Yield the code of a message, in order. Its line ends must be normalized."""
    lines = text.removesuffix("\n").split("\n")
    at = 0
    change = _Change()
    searches = iter(range(_MAX_SEARCHED))
    while at < len(lines):
        if size := change.read(lines, at):
            at += size
            yield from change.finished()
        elif fence := _opening(lines[at]):
            yield from change.end()
            content, at = _content(lines, at + 1, fence, searches)
            yield from _block(fence.info, content)
        else:
            at += 1
    yield from change.end()


def find_changes(text: str, info: str = "") -> Iterator[Change]:
    """Yield the changes in a diff. A text without hunk headers is a single hunk."""
    lines = text.removesuffix("\n").split("\n")
    change, at, found = _Change(info), 0, False
    while at < len(lines):
        at += change.read(lines, at) or 1
        for finished in change.finished():
            found = True
            yield finished
    for finished in change.end():
        found = True
        yield finished
    if not found and not any(read_header(lines, n) for n in range(len(lines))):
        hunk = hunk_of(lines, start=1)
        if hunk.lines and any(line.startswith(("+", "-")) for line in lines):
            yield Change(None, (hunk,), info=info)


class _Change:
    """Collects the hunks of one file at a time."""

    def __init__(self, info: str = "") -> None:
        self._info = info
        self._header: FileHeader | None = None
        self._hunks: list[Hunk] = []
        self._finished: list[Change] = []

    def read(self, lines: Sequence[str], at: int) -> int:
        """Read the file header or the hunk at this line. Return its number of lines, or 0."""
        if not lines[at].startswith(("--- ", "diff --", "@@")):
            return 0
        if header := read_header(lines, at):
            self._finish()
            self._header = header[0]
            return header[1]
        if hunk := read_hunk(lines, at):
            self._hunks.append(hunk[0])
            return hunk[1]
        return 0

    def finished(self) -> Iterator[Change]:
        yield from self._finished
        self._finished.clear()

    def end(self) -> Iterator[Change]:
        self._finish()
        self._header = None
        yield from self.finished()

    def _finish(self) -> None:
        header = self._header
        hunks = tuple(hunk for hunk in self._hunks if hunk.lines)
        self._hunks.clear()
        if hunks and header is None:
            self._finished.append(Change(None, hunks, info=self._info))
        elif hunks and header is not None and header.new is not None:  # not a removed file
            self._finished.append(Change(header.new, hunks, header.added, self._info))


class _Fence(NamedTuple):
    marks: str
    info: str
    #: Number of quotation marks before the fence.
    quotes: int
    #: Columns before the fence, including the mark of a list item.
    indent: int


def _opening(line: str) -> _Fence | None:
    if "```" not in line and "~~~" not in line:
        return None
    match = _FENCE.fullmatch(line)
    if match is None or (match["marks"][0] == "`" and "`" in match["info"]):
        return None
    info = match["info"][:_MAX_INFO].strip()
    return _Fence(match["marks"], info, match["quote"].count(">"), _columns(match["indent"]))


def _content(
    lines: Sequence[str], at: int, fence: _Fence, searches: Iterator[int]
) -> tuple[list[str], int]:
    """Return the lines of a block, and the number of the line after it.

    The end of the quotation ends the block. If an indented block has no closing fence, the first
    line that is indented less ends it, because it is outside of the list item.
    """
    content: list[str] = []
    outside = 0
    while at < len(lines):
        line = _unquoted(lines[at], fence.quotes)
        if line is None:
            return _unindented(content, fence.indent), at
        if _closes(line, fence):
            return _unindented(content, fence.indent), at + 1
        if outside and next(searches, None) is None:
            break
        if outside and (other := _opening(line)) and other.info:
            break
        if not outside and line.strip() and _indent(line) < fence.indent:
            outside = len(content)
        content.append(line)
        at += 1
    if outside:
        return _unindented(content[:outside], fence.indent), at - len(content) + outside
    return _unindented(content, fence.indent), at


def _closes(line: str, fence: _Fence) -> bool:
    bare = line.strip(" \t")
    if not bare.startswith(fence.marks) or bare.strip(fence.marks[0]):
        return False
    return _indent(line) <= fence.indent + 3


def _unquoted(line: str, quotes: int) -> str | None:
    for _ in range(quotes):
        match = _QUOTE_MARK.match(line)
        if match is None:
            return None
        line = line[match.end() :]
    return line


def _indent(line: str) -> int:
    return _columns(line[: len(line) - len(line.lstrip(" \t"))])


def _columns(text: str) -> int:
    return len(text.expandtabs(_TAB))


def _unindented(lines: Sequence[str], columns: int) -> list[str]:
    """Remove the indentation of the fence, unless the code begins further to the left."""
    first = next((line for line in lines if line.strip()), "")
    if _indent(first) < columns:
        return list(lines)
    return [_without_columns(line, columns) for line in lines]


def _without_columns(line: str, columns: int) -> str:
    """Remove up to this many columns of blanks from the start of a line."""
    column = 0
    for at, character in enumerate(line):
        if column >= columns or character not in " \t":
            return " " * (column - columns) + line[at:]
        column += _TAB - column % _TAB if character == "\t" else 1
    return ""


def _block(info: str, lines: Sequence[str]) -> Iterator[Block | Change]:
    text = "".join(f"{line}\n" for line in lines)
    if info_word(info) in _DIFF_LANGUAGES or is_diff(text):
        yield from find_changes(text, info)
    else:
        yield Block(info, text)


def info_word(info: str) -> str:
    """Return the language in an info string such as `py title="x"`, `ts:a.ts` or `{.c}`."""
    word = re.split(r"[\s:{},;]", info.lstrip("{. "), maxsplit=1)[0].lower()
    return word.removeprefix("language-").removeprefix("lang-")
