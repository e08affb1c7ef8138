"""The documented Chat.tsx differs little from the same page without Mamba, which compiles too."""

import difflib
import re
from collections.abc import Iterator

from tests.support.chat_page.documented_code import DOCS, FOLDER, documented_modules

_COMMENT = re.compile(r"\s*(//|/\*\*)")


def test_page_states_the_number_of_changed_lines() -> None:
    stock = _code((FOLDER / "stock_chat.tsx").read_text())
    documented = _code(documented_modules("7")["Chat.tsx"])

    changed = sum(_changed_lines(stock, documented))

    assert changed <= 20
    assert f"{changed} lines of code differ" in (DOCS / "chat.md").read_text()


def _code(module: str) -> list[str]:
    lines = module.splitlines()
    return [line for line in lines if line.strip() and not _COMMENT.match(line)]


def _changed_lines(before: list[str], after: list[str]) -> Iterator[int]:
    matcher = difflib.SequenceMatcher(a=before, b=after, autojunk=False)
    for change, i1, i2, j1, j2 in matcher.get_opcodes():
        if change != "equal":
            yield max(i2 - i1, j2 - j1)
