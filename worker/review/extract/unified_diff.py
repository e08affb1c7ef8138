"""Reads unified and combined diffs, as git, Subversion, `diff -u` and people write them.

Lines are given without their line ends. The lengths in hunk headers are used if they fit the lines
below them, because only they distinguish a removed `-- x` from a file header. They are often wrong
in truncated or generated diffs; then the first character of each line decides.
"""

import re
from collections.abc import Sequence
from itertools import takewhile
from typing import NamedTuple

#: `@@ -1,2 +3,4 @@`, or `@@@ -1,2 -1,2 +3,4 @@@` for a merge of two parents.
_HUNK = re.compile(
    r"(?P<marks>@@+)(?P<old>(?: -\d{1,9}(?:,\d{1,9})?)+) \+(?P<new>\d{1,9}(?:,\d{1,9})?) @@"
)
_GIT = re.compile(r"diff --git (?P<rest>.+)")
_COMBINED = re.compile(r"diff --(?:cc|combined) (?P<path>.+)")
_QUOTED = re.compile(r'"(?P<text>(?:[^"\\]|\\.)*)"')
_ESCAPE = re.compile(rb"\\([0-7]{3}|.)")
_ESCAPES = {
    b"a": b"\a",
    b"b": b"\b",
    b"f": b"\f",
    b"n": b"\n",
    b"r": b"\r",
    b"t": b"\t",
    b"v": b"\v",
}
#: The prefixes of git, also with `diff.mnemonicPrefix`.
_PREFIX = re.compile(r"[abciow]/")
_NO_FILE = "/dev/null"
#: Longer lines are no headers.
_MAX_HEADER = 4096


class Hunk(NamedTuple):
    """Consecutive lines of the new file. `start` is the number of the first line."""

    start: int
    lines: tuple[str, ...]
    changed: frozenset[int]


class FileHeader(NamedTuple):
    """The file that the next hunks change. `new` is None if the diff removes it."""

    new: str | None
    added: bool = False


def is_diff(text: str) -> bool:
    """Return whether a text starts with a diff."""
    lines = text.lstrip("\n").split("\n", 3)
    return read_header(lines, 0) is not None or _HUNK.match(lines[0]) is not None


def read_header(lines: Sequence[str], at: int) -> tuple[FileHeader, int] | None:
    """Read the file header at this line, if there is one. Return it and the number of its lines."""
    line = lines[at]
    if len(line) > _MAX_HEADER:
        return None
    if line.startswith("--- ") and at + 1 < len(lines) and lines[at + 1].startswith("+++ "):
        old, new = _path(line[4:]), _path(lines[at + 1][4:])
        if new == _NO_FILE:
            return FileHeader(None), 2
        return FileHeader(_without_prefix(old, new), added=old == _NO_FILE), 2
    if match := _COMBINED.match(line):
        return FileHeader(_unquoted(match["path"])), 1
    if match := _GIT.match(line):
        return FileHeader(_git_path(match["rest"])), 1
    return None


def read_hunk(lines: Sequence[str], at: int) -> tuple[Hunk, int] | None:
    """Read the hunk at this line, if there is one. Return it and the number of its lines."""
    match = _HUNK.match(lines[at])
    if match is None:
        return None
    parents = len(match["marks"]) - 1
    old = [_length(part) for part in match["old"].split()]
    start, new = int(match["new"].partition(",")[0]), _length(match["new"])
    size = _exact_size(lines, at + 1, parents, old, new) if len(old) == parents else None
    if size is None:
        size = _likely_size(lines, at + 1)
    return hunk_of(lines[at + 1 : at + 1 + size], start=max(1, start), parents=parents), size + 1


def hunk_of(lines: Sequence[str], *, start: int, parents: int = 1) -> Hunk:
    """Return the new version of a hunk's lines."""
    kept: list[str] = []
    changed: set[int] = set()
    for line in lines:
        marks = line[:parents]
        if "-" in marks or marks.startswith("\\"):
            continue
        if "+" in marks:
            changed.add(start + len(kept))
        kept.append(line[parents:])
    return Hunk(start, tuple(kept), frozenset(changed))


def _length(part: str) -> int:
    _, comma, length = part.partition(",")
    return int(length) if comma else 1


def _exact_size(
    lines: Sequence[str], at: int, parents: int, old: Sequence[int], new: int
) -> int | None:
    """Return the number of lines of a hunk if the lengths in its header fit, or else None."""
    left, left_new, size = list(old), new, 0
    while any(left) or left_new:
        if at + size >= len(lines) or not _is_content(lines[at + size], parents):
            return None
        marks = lines[at + size][:parents].ljust(parents)
        size += 1
        if marks.startswith("\\"):
            continue
        removed = "-" in marks
        left_new -= not removed
        for parent, mark in enumerate(marks):
            left[parent] -= mark == "-" or (mark == " " and not removed)
        if left_new < 0 or min(left) < 0:
            return None
    while at + size < len(lines) and lines[at + size].startswith("\\"):
        size += 1
    return size if _can_follow(lines, at + size) else None


def _is_content(line: str, parents: int) -> bool:
    return line.startswith("\\") or set(line[:parents]) <= {" ", "+", "-"}


def _can_follow(lines: Sequence[str], at: int) -> bool:
    """Return whether this line can follow a hunk, so that the hunk has ended."""
    if at >= len(lines) or lines[at][:1] not in ("+", "-", " ") or _is_mail_signature(lines, at):
        return True
    return read_header(lines, at) is not None


def _is_mail_signature(lines: Sequence[str], at: int) -> bool:
    return lines[at].rstrip() == "--"


def _likely_size(lines: Sequence[str], at: int) -> int:
    """Return how many lines look like lines of a hunk."""
    size, known = 0, 0
    while at + size < len(lines):
        line = lines[at + size]
        if line and (line[0] not in " +-\\" or _starts_file(lines, at + size)):
            break
        size += 1
        if line:
            known = size  # blank lines at the end belong to the text below
    return known


def _starts_file(lines: Sequence[str], at: int) -> bool:
    return _is_mail_signature(lines, at) or (
        read_header(lines, at) is not None
        and at + 2 < len(lines)
        and _HUNK.match(lines[at + 2]) is not None
    )


def _path(text: str) -> str:
    """Return the path in a `---` or `+++` line, which a tab and a time may follow."""
    quoted = _QUOTED.match(text)
    return _decoded(quoted["text"]) if quoted else text.partition("\t")[0].rstrip()


def _unquoted(text: str) -> str:
    quoted = _QUOTED.fullmatch(text.rstrip())
    return _decoded(quoted["text"]) if quoted else text.rstrip()


def _decoded(quoted: str) -> str:
    """Decode git's C-style quoting: octal bytes of UTF-8, and backslash escapes."""

    def escape(match: re.Match[bytes]) -> bytes:
        code = match[1]
        if len(code) == 3:
            return bytes([int(code, 8) & 0xFF])
        return _ESCAPES.get(code, code)

    return _ESCAPE.sub(escape, quoted.encode(errors="replace")).decode(errors="replace")


def _without_prefix(old: str, new: str) -> str:
    """Remove `b/`. Equal paths have no prefix, so `b` is a folder."""
    prefixed = _PREFIX.match(new) and (old == _NO_FILE or _PREFIX.match(old))
    return new[2:] if prefixed and old != new else new


def _git_path(rest: str) -> str | None:
    """Return the new path of `diff --git a/old b/new`. Either may be quoted or contain blanks."""
    if quoted := list(_QUOTED.finditer(rest)):
        last = quoted[-1]
        path = _decoded(last["text"]) if last.end() == len(rest.rstrip()) else rest[last.end() :]
        return path.strip().removeprefix("b/")
    words = rest.split(" ")
    for middle in takewhile(lambda n: n < min(len(words), 64), range(1, len(words))):
        old, new = " ".join(words[:middle]), " ".join(words[middle:])
        if old.removeprefix("a/") == new.removeprefix("b/"):
            return new.removeprefix("b/")
    return words[-1].removeprefix("b/")
