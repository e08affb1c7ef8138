"""Collects the code of a conversation: files, diffs and fenced blocks.

A later source with the same path replaces the earlier one. If one of them is the complete file and
the other a diff, they are combined. Limits apply to what is collected; `note` lists what they left
out.
"""

import re
from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

from worker.review.extract.blocks import (
    Block,
    Change,
    find_changes,
    find_code,
    info_word,
    normalize_lines,
)
from worker.review.extract.language_guess import guess_language
from worker.review.extract.prose import code_in_prose
from worker.review.extract.unified_diff import Hunk, is_diff
from worker.review.language import Language, language_by_name, language_by_path
from worker.review.source import Fragment, ReviewSource

_T = TypeVar("_T")

#: Limits on the code that is kept. Older code is left out first.
_MAX_FILES = 200
_MAX_CHARS = 1_000_000
#: Limits on the text that is searched for code.
MAX_TEXT_CHARS = 2_000_000
_MAX_BLOCKS = 2_000

_MAX_PATH = 200
#: `title=app.py`, `app.py` or `lang:app.py` in an info string.
_FILENAME = re.compile(r"(?:^|[\s:=\"'{])(?P<name>[\w@./\\+-]*\w\.\w{1,12})(?=[\s\"'},]|$)")
#: Blocks with these names may contain code of any language.
_NO_LANGUAGE = frozenset({"", "code", "plain", "plaintext", "text", "txt"})


class SourceExtractor:
    """Collects sources by path."""

    def __init__(self) -> None:
        self._found: OrderedDict[str, ReviewSource] = OrderedDict()
        self._chars = 0
        self._blocks = 0
        self._left_out: Counter[str] = Counter()

    def all(self) -> list[ReviewSource]:
        return list(self._found.values())

    def note(self) -> str | None:
        """Describe what was left out, if anything."""
        reasons = [f"{reason} ({count:,})" for reason, count in self._left_out.items()]
        return f"Left out: {'; '.join(reasons)}." if reasons else None

    def leave_out(self, reason: str, count: int = 1) -> None:
        """Add something that is left out to the note."""
        self._left_out[reason] += count

    def add_text(self, text: str) -> None:
        """Add the fenced blocks and the diffs of a text, or else the code between its prose."""
        text = self._searched(text)
        found = False
        for code in self._limited(find_code(text), "blocks", "message"):
            found = True
            self._add(code)
        if not found:
            for language, code in self._limited(code_in_prose(text), "blocks", "message"):
                self._add_block(Block(language.name, code))

    def add_file(self, path: str, text: str) -> None:
        """Add a file. The content of a `.diff` or `.patch` file is added as a diff."""
        text = self._searched(text)
        if path.endswith((".diff", ".patch")) or is_diff(text):
            for change in self._limited(find_changes(text), "changes", "file"):
                self._add_change(change)
            return
        self._put(_whole(path, text, language_by_path(path) or guess_language(text)))

    def _limited(self, codes: Iterable[_T], what: str, source: str) -> Iterator[_T]:
        """Yield the first blocks or changes of a source, and add the others to the note."""
        remaining = iter(codes)
        yield from islice(remaining, _MAX_BLOCKS)
        if next(remaining, None) is not None:
            self.leave_out(f"the {what} after the first {_MAX_BLOCKS:,} of a {source}")

    def _searched(self, text: str) -> str:
        if len(text) > MAX_TEXT_CHARS:
            self.leave_out(f"text after {MAX_TEXT_CHARS:,} characters of a message")
        return normalize_lines(text[:MAX_TEXT_CHARS])

    def _add(self, code: Block | Change) -> None:
        if isinstance(code, Change):
            self._add_change(code)
        else:
            self._add_block(code)

    def _add_block(self, block: Block) -> None:
        word = info_word(block.info)
        filename = _filename(block.info)
        language = language_by_name(word) or (language_by_path(filename) if filename else None)
        if language is None and not filename:
            language = guess_language(block.text) if word in _NO_LANGUAGE else None
            if language is None:
                self.leave_out("blocks without a known language")
                return
        self._put(_whole(filename or self._block_name(language), block.text, language))

    def _add_change(self, change: Change) -> None:
        path = change.path or _filename(change.info)
        language = language_by_path(path) if path else _guess_of(change.hunks)
        self._put(
            ReviewSource(
                path=path or self._block_name(language),
                language=language.name if language else None,
                fragments=tuple(
                    Fragment(start=hunk.start, text="".join(f"{line}\n" for line in hunk.lines))
                    for hunk in change.hunks
                ),
                complete=change.added and len(change.hunks) == 1,
                changed=frozenset(line for hunk in change.hunks for line in hunk.changed),
            )
        )

    def _block_name(self, language: Language | None) -> str:
        self._blocks += 1
        return f"block-{self._blocks}.{language.extensions[0] if language else 'txt'}"

    def _put(self, source: ReviewSource) -> None:
        if len(source.path) > _MAX_PATH:
            source = source.model_copy(update={"path": source.path[-_MAX_PATH:]})
        if before := self._found.pop(source.path, None):
            self._chars -= before.chars
            source = _merged(before, source)
        if source.chars > _MAX_CHARS:
            self.leave_out(f"files with more than {_MAX_CHARS:,} characters")
            return
        self._found[source.path] = source
        self._chars += source.chars
        while len(self._found) > _MAX_FILES or self._chars > _MAX_CHARS:
            _, oldest = self._found.popitem(last=False)
            self._chars -= oldest.chars
            self.leave_out(f"the oldest files, above {_MAX_FILES} or {_MAX_CHARS:,} characters")


def _filename(info: str) -> str | None:
    match = _FILENAME.search(info)
    return match["name"] if match else None


def _whole(path: str, text: str, language: Language | None) -> ReviewSource:
    name = language.name if language else None
    return ReviewSource(path=path, language=name, fragments=(Fragment(start=1, text=text),))


def _guess_of(hunks: tuple[Hunk, ...]) -> Language | None:
    return guess_language("\n".join(line for hunk in hunks for line in hunk.lines))


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
