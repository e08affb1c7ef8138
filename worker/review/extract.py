"""Extracts code from messages: files, unified diffs and fenced blocks.

A later source with the same path replaces the earlier one. If one of them is the complete file and
the other a diff, they are combined.
"""

import re
from itertools import takewhile

from unidiff.errors import UnidiffParseError
from unidiff.patch import Hunk, PatchedFile, PatchSet

from worker.review.language import language_by_name, language_by_path
from worker.review.source import Fragment, ReviewSource

#: A fenced code block (CommonMark 4.5). The possessive quantifiers prevent catastrophic
#: backtracking on a long line of blanks.
_BLOCK = re.compile(
    r"^ {0,3}(?P<fence>`{3,}+|~{3,}+)(?P<info>[^\n`]*+)\n"
    r"(?P<text>.*?)(?:^ {0,3}(?P=fence)[`~]*+[ \t]*+$|\Z)",
    re.MULTILINE | re.DOTALL,
)
_DIFF = re.compile(r"^(?:diff --git |--- \S.*\n\+\+\+ )", re.MULTILINE)
#: `title=app.py`, `app.py` or `lang:app.py` in an info string.
_FILENAME = re.compile(r"(?:^|[\s:=\"'{])(?P<name>[\w@./+-]*\w\.\w{1,8})(?=[\s\"'}]|$)")
_HUNK = re.compile(r"^@@ -(\d+)(?:,\d+)? \+(\d+)(?:,\d+)? @@", re.MULTILINE)
_DIFF_LANGUAGES = ("diff", "patch", "udiff")


class SourceExtractor:
    """Collects sources by path."""

    def __init__(self) -> None:
        self._found: dict[str, ReviewSource] = {}
        self._blocks = 0

    def all(self) -> list[ReviewSource]:
        return list(self._found.values())

    def add_text(self, text: str) -> None:
        """Add the fenced blocks of a text, and a diff outside of them."""
        outside = _BLOCK.sub("\n", text)
        if match := _DIFF.search(outside):
            self.add_diff(outside[match.start() :])
        for block in _BLOCK.finditer(text):
            self._add_block(block["info"].strip(), block["text"])

    def add_file(self, path: str, text: str) -> None:
        """Add a file. The content of a `.diff` or `.patch` file is added as a diff."""
        if path.endswith((".diff", ".patch")) or _DIFF.match(text):
            self.add_diff(text)
            return
        language = language_by_path(path)
        name = language.name if language else None
        self._put(ReviewSource(path=path, language=name, fragments=(Fragment(start=1, text=text),)))

    def add_diff(self, text: str) -> None:
        """Add the files of a unified diff. Invalid diffs are ignored."""
        try:
            patches = PatchSet.from_string(_with_correct_lengths(text))
        except (UnidiffParseError, ValueError):  # a line number may have too many digits
            return
        for patch in patches:
            if len(patch) and not patch.is_removed_file and not patch.is_binary_file:
                self._put_patch(patch)

    def _add_block(self, info: str, text: str) -> None:
        word = re.split(r"[\s:{,]", info, maxsplit=1)[0].lower()
        if word in _DIFF_LANGUAGES or _DIFF.match(text):
            self.add_diff(text)
            return
        self._blocks += 1
        filename = _FILENAME.search(info)
        language = language_by_name(word) or (
            language_by_path(filename["name"]) if filename else None
        )
        if language is None and not filename:
            return
        extension = language.extensions[0] if language else "txt"
        path = filename["name"] if filename else f"block-{self._blocks}.{extension}"
        fragments = (Fragment(start=1, text=text),)
        name = language.name if language else None
        self._put(ReviewSource(path=path, language=name, fragments=fragments))

    def _put_patch(self, patch: PatchedFile) -> None:
        hunks = list(patch)
        changed = frozenset(
            line.target_line_no
            for hunk in hunks
            for line in hunk
            if line.is_added and line.target_line_no
        )
        language = language_by_path(patch.path)
        self._put(
            ReviewSource(
                path=patch.path,
                language=language.name if language else None,
                fragments=tuple(_fragment(hunk) for hunk in hunks),
                complete=patch.is_added_file,
                changed=changed,
            )
        )

    def _put(self, source: ReviewSource) -> None:
        before = self._found.get(source.path)
        self._found[source.path] = _merged(before, source) if before else source


def _with_correct_lengths(diff: str) -> str:
    """Correct the hunk lengths, which are often wrong in truncated or generated diffs."""
    head, *hunks = _HUNK.split(diff)
    if not hunks:
        return diff
    starts_and_bodies = zip(hunks[::3], hunks[1::3], hunks[2::3], strict=True)
    return head + "".join(_hunk(*hunk) for hunk in starts_and_bodies)


def _hunk(old_start: str, new_start: str, rest: str) -> str:
    title, _, below = rest.partition("\n")
    body = list(takewhile(_in_hunk, below.splitlines(keepends=True)))
    after = below[sum(map(len, body)) :]
    old = sum(not line.startswith(("+", "\\")) for line in body)
    new = sum(not line.startswith(("-", "\\")) for line in body)
    return f"@@ -{old_start},{old} +{new_start},{new} @@{title}\n{''.join(body)}{after}"


def _in_hunk(line: str) -> bool:
    return line[:1] in " +-\\\n" and not line.startswith("--- ")


def _fragment(hunk: Hunk) -> Fragment:
    lines = (line.value for line in hunk if not line.is_removed)
    return Fragment(start=hunk.target_start, text="".join(lines))


def _merged(before: ReviewSource, after: ReviewSource) -> ReviewSource:
    """Combine a complete file with its diff. In all other cases the later source wins."""
    if before.complete and before.changed is None and after.changed is not None:
        return before.model_copy(update={"changed": after.changed})
    if (
        after.complete
        and after.changed is None
        and before.changed is not None
        and not before.complete
    ):
        return after.model_copy(update={"changed": before.changed})
    return after
