"""Checks of texts that become HTTP headers or URLs. Copied texts contain invisible characters."""

import unicodedata
from collections.abc import Iterator
from enum import Enum

_QUOTES = "\"'`"


class CharacterRule(Enum):
    """Which characters a text may contain."""

    #: A key or a token: visible ASCII without quotation marks around it.
    KEY = "key"
    #: The value of a header: ASCII, with spaces in between.
    HEADER = "header"
    #: A URL: no white space and nothing invisible.
    URL = "url"


def problem_in(text: str, rule: CharacterRule) -> str | None:
    """Return a sentence about the first character that does not belong into the text.

    It contains that character's name and position, but nothing else of the text.
    """
    return next((_describe(text, index) for index in _wrong_indexes(text, rule)), None)


def _wrong_indexes(text: str, rule: CharacterRule) -> Iterator[int]:
    ends = (0, len(text) - 1)
    for index, char in enumerate(text):
        visible = "!" <= char <= "~"
        match rule:
            case CharacterRule.KEY:
                right = visible and not (index in ends and char in _QUOTES)
            case CharacterRule.HEADER:
                right = visible or (char in " \t" and index not in ends)
            case CharacterRule.URL:
                category = unicodedata.category(char)
                right = visible or (category[0] not in "ZC" and category not in ("Pi", "Pf"))
        if not right:
            yield index


def _describe(text: str, index: int) -> str:
    char = text[index]
    known = {"\n": "LINE FEED", "\r": "CARRIAGE RETURN", "\t": "TAB"}
    name = known.get(char) or unicodedata.name(char, "CONTROL CHARACTER")
    return f"Character {index + 1} is U+{ord(char):04X} ({name}). Remove it."
