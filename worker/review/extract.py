"""The code that a message holds: files, unified diffs and fenced blocks.

A diff of a file that is there whole says what changed in it. The same path given again, as in a
later message, replaces the earlier.
"""

import re
from itertools import takewhile

from unidiff.errors import UnidiffParseError
from unidiff.patch import Hunk, PatchedFile, PatchSet

from worker.review.language import language_by_name, language_by_path
from worker.review.source import Fragment, ReviewSource

#: A fenced block (CommonMark 4.5): its fence, its info string, its text. Nothing is tried twice:
#: a line of blanks behind a fence would take hours.
_BLOCK = re.compile(
    r"^ {0,3}(?P<fence>`{3,}+|~{3,}+)(?P<info>[^\n`]*+)\n"
    r"(?P<text>.*?)(?:^ {0,3}(?P=fence)[`~]*+[ \t]*+$|\Z)",
    re.MULTILINE | re.DOTALL,
)
_DIFF = re.compile(r"^(?:diff --git |--- \S.*\n\+\+\+ )", re.MULTILINE)
#: `title=app.py`, `app.py` or `lang:app.py` in an info string.
_FILENAME = re.compile(r"(?:^|[\s:=\"'{])(?P<name>[\w@./+-]*\w\.\w{1,8})(?=[\s\"'}]|$)")
_HUNK = re.compile(r"^@@ -(\d+)(?:,\d+)? \+(\d+)(?:,\d+)? @@", re.MULTILINE)
_DIFF_WORDS = ("diff", "patch", "udiff")


class SourceExtractor:
    """What was found so far, by path."""

    def __init__(self) -> None:
        self._found: dict[str, ReviewSource] = {}
        self._blocks = 0

    def all(self) -> list[ReviewSource]:
        return list(self._found.values())

    def add_text(self, text: str) -> None:
        """What somebody wrote: fenced blocks, and a diff that stands without a fence."""
        outside = _BLOCK.sub("\n", text)
        if match := _DIFF.search(outside):
            self.add_diff(outside[match.start() :])
        for block in _BLOCK.finditer(text):
            self._add_block(block["info"].strip(), block["text"])

    def add_file(self, path: str, text: str) -> None:
        """A file as it is; a `.diff` or `.patch` as what it changes."""
        if path.endswith((".diff", ".patch")) or _DIFF.match(text):
            self.add_diff(text)
            return
        language = language_by_path(path)
        name = language.name if language else None
        self._put(ReviewSource(path=path, language=name, fragments=(Fragment(start=1, text=text),)))

    def add_diff(self, text: str) -> None:
        """A unified diff, as git and diff write it. What cannot be read as one is left out."""
        try:
            patches = PatchSet.from_string(_recounted(text))
        except (UnidiffParseError, ValueError):  # a line number may have too many digits
            return
        for patch in patches:
            if len(patch) and not patch.is_removed_file and not patch.is_binary_file:
                self._put_patch(patch)

    def _add_block(self, info: str, text: str) -> None:
        word = re.split(r"[\s:{,]", info, maxsplit=1)[0].lower()
        if word in _DIFF_WORDS or _DIFF.match(text):
            self.add_diff(text)
            return
        self._blocks += 1
        named = _FILENAME.search(info)
        language = language_by_name(word) or (language_by_path(named["name"]) if named else None)
        if language is None and not named:
            return
        extension = language.extensions[0] if language else "txt"
        path = named["name"] if named else f"block-{self._blocks}.{extension}"
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
        self._found[source.path] = _joined(before, source) if before else source


def _recounted(diff: str) -> str:
    """With the lengths that the hunks have: people cut diffs short, and models cannot count."""
    head, *hunks = _HUNK.split(diff)
    if not hunks:
        return diff
    starts_and_bodies = zip(hunks[::3], hunks[1::3], hunks[2::3], strict=True)
    return head + "".join(_hunk(*one) for one in starts_and_bodies)


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


def _joined(before: ReviewSource, after: ReviewSource) -> ReviewSource:
    """The later one, unless one is the whole file and the other says what changed in it."""
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
